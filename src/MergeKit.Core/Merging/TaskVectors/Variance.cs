using System.Numerics.Tensors;

namespace MergeKit.Core.Merging.TaskVectors;

/// <summary>How far task vectors differ, element by element.</summary>
internal static class Variance
{
    private const int Tile = 512;

    /// <summary>v = (1/K) sum_i (D_i - mean D)^2 in double precision, rounded to float32; exactly 0 where all D_i are equal.</summary>
    /// <param name="chunk">Rows of models, not yet differences; left alone.</param>
    /// <param name="models">The rows that take part.</param>
    /// <param name="baseIndex">The row that is subtracted.</param>
    /// <param name="result">The variances. Scratch row 1 is used.</param>
    public static void PerElement(Chunk chunk, int[] models, int baseIndex, Span<float> result)
    {
        Span<double> wide = stackalloc double[Tile], mean = stackalloc double[Tile], sum = stackalloc double[Tile];
        for (var at = 0; at < chunk.Length; at += Tile)
        {
            var part = chunk.Part(at, Math.Min(Tile, chunk.Length - at));
            var w = wide[..part.Length];
            var m = mean[..part.Length];
            var s = sum[..part.Length];
            m.Clear();
            s.Clear();
            foreach (var model in models)
            {
                Widen(part, model, baseIndex, w);
                TensorPrimitives.Add(m, w, m);
            }

            TensorPrimitives.Divide(m, models.Length, m);
            foreach (var model in models)
            {
                Widen(part, model, baseIndex, w);
                TensorPrimitives.Subtract(w, m, w);
                TensorPrimitives.MultiplyAdd(w, w, s, s);
            }

            TensorPrimitives.Divide(s, models.Length, s);
            TensorPrimitives.ConvertTruncating<double, float>(s, result.Slice(at, part.Length));
        }
    }

    /// <summary>Clears the entries where another row is zero.</summary>
    public static void ClearWhereZero(Span<float> entries, ReadOnlySpan<float> where)
    {
        for (var i = 0; i < entries.Length; i++)
            entries[i] = where[i] == 0 ? 0 : entries[i];
    }

    private static void Widen(Chunk part, int model, int baseIndex, Span<double> wide)
    {
        var delta = part.Scratch(1);
        TensorPrimitives.Subtract(part.Source(model), part.Source(baseIndex), delta);
        TensorPrimitives.ConvertTruncating<float, double>(delta, wide);
    }
}
