using System.Numerics.Tensors;
using MergeKit.Inference.Backends.Cpu;

namespace MergeKit.Inference.Backends.Gradients;

/// <summary>Chooses the label of a row, given the row and the probabilities of all ids.</summary>
internal delegate int LabelChoice(int row, ReadOnlySpan<float> probabilities);

/// <summary>The loss ln p(label) of some rows: d / d logit_v = [v = label] - p_v, through the soft cap and the factor on the logits.</summary>
internal static class HeadStep
{
    private const int ChunkFloats = 1 << 22;

    /// <summary>Adds to the hidden states' and the head's gradients; returns the sum of ln p(label).</summary>
    public static double BackFromLabels(this Tape tape, HeadWeights weights, TapeValue hidden, ReadOnlySpan<int> rows, LabelChoice choose)
    {
        var (matrix, sum, step) = ((TapeMatrix)weights.Output, 0.0, Math.Max(1, ChunkFloats / weights.Output.Rows));
        for (var start = 0; start < rows.Length; start += step)
        {
            var part = rows.Slice(start, Math.Min(step, rows.Length - start));
            var (x, logits) = (tape.Value(part.Length, hidden.Columns), tape.Value(part.Length, matrix.Rows));
            for (var i = 0; i < part.Length; i++)
                hidden.Row(part[i]).CopyTo(x.Row(i));
            matrix.Multiply(x.Data, x.Rows, logits.Data, tape.Pool);
            CpuHead.Finish(weights, logits.Data);
            for (var i = 0; i < part.Length; i++)
                sum += BackRow(weights, part[i], logits.Row(i), logits.GradientRow(i), choose);
            matrix.Back(x, logits, tape);
            for (var i = 0; i < part.Length; i++)
                TensorPrimitives.Add(hidden.GradientRow(part[i]), x.GradientRow(i), hidden.GradientRow(part[i]));
            x.Release();
            logits.Release();
        }

        return sum;
    }

    private static double BackRow(HeadWeights weights, int row, ReadOnlySpan<float> logits, Span<float> gradient, LabelChoice choose)
    {
        var maximum = TensorPrimitives.Max(logits);
        TensorPrimitives.Subtract(logits, maximum, gradient);
        TensorPrimitives.Exp<float>(gradient, gradient);
        var total = 0.0;
        foreach (var value in gradient)
            total += value;
        TensorPrimitives.Multiply(gradient, (float)(1 / total), gradient);
        var label = choose(row, gradient);
        TensorPrimitives.Negate(gradient, gradient);
        gradient[label] += 1;
        for (var i = 0; i < gradient.Length; i++)
        {
            var capped = weights.Spec.Softcap is { } cap ? logits[i] / cap : 0;
            gradient[i] *= weights.Spec.Scale * (1 - capped * capped);
        }

        return logits[label] - maximum - Math.Log(total);
    }
}
