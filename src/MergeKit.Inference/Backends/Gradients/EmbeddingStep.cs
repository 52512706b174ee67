using System.Numerics.Tensors;
using MergeKit.Core.Numerics;
using MergeKit.Inference.Backends.Cpu.Kernels;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Backends.Gradients;

/// <summary>Ids to hidden states: sums of rows of tables. A row's gradient is the sum over the tokens that used it.</summary>
internal static class EmbeddingStep
{
    /// <summary>scale x token row + position row + type row, without the norm.</summary>
    public static TapeValue Embed(this Tape tape, EmbeddingWeights weights, ForwardBatch batch, int width)
    {
        var y = tape.Value(batch.Tokens, width);
        List<(WeightTensor Table, string Name, float Scale, int[] Rows)> tables = [(weights.Tokens, weights.Spec.Tokens.Name, weights.Spec.Scale, batch.Ids)];
        if (weights.Positions is { } positions)
            tables.Add((positions, weights.Spec.Positions!.Name, 1, batch.PositionRows));
        if (weights.TokenTypes is { } types)
            tables.Add((types, weights.Spec.TokenTypes!.Name, 1, batch.TokenTypes ?? new int[batch.Tokens]));
        var row = new float[width];
        foreach (var (table, _, scale, rows) in tables)
            for (var token = 0; token < rows.Length; token++)
            {
                Widening.ToSingle(table.Data + (nint)((long)rows[token] * width * table.Type.Size()), table.Type, row);
                TensorPrimitives.MultiplyAdd(row, scale, y.Row(token), y.Row(token));
            }

        return tape.Record(y, () =>
        {
            foreach (var (table, name, scale, rows) in tables)
                for (var token = 0; token < rows.Length; token++)
                    if (tape.Parameters.Of(name, (long)rows[token] * width, width) is { IsEmpty: false } gradient)
                        TensorPrimitives.MultiplyAdd(y.GradientRow(token), scale, gradient, gradient);
        });
    }
}
