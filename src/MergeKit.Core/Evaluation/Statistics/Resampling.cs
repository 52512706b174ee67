using MergeKit.Core.Numerics;

namespace MergeKit.Core.Evaluation.Statistics;

/// <summary>Indices drawn with replacement, as a pure function of seed, draw and position.</summary>
internal static class Resampling
{
    /// <summary>Fills one resample of indices below the length of <paramref name="indices"/>.</summary>
    public static void Fill(Span<int> indices, ulong seed, int draw)
    {
        var n = (ulong)indices.Length;
        for (var i = 0; i < indices.Length; i += 4)
        {
            var (a, b, c, d) = Philox.Block(seed, (ulong)i / 4, (ulong)draw);
            indices[i] = (int)((a * n) >> 32);
            if (i + 1 < indices.Length)
                indices[i + 1] = (int)((b * n) >> 32);
            if (i + 2 < indices.Length)
                indices[i + 2] = (int)((c * n) >> 32);
            if (i + 3 < indices.Length)
                indices[i + 3] = (int)((d * n) >> 32);
        }
    }

    /// <summary>The ceil(p M)-th of M sorted values, at least the first.</summary>
    public static double Quantile(double[] sorted, double probability) =>
        sorted[Math.Clamp((int)Math.Ceiling(probability * sorted.Length) - 1, 0, sorted.Length - 1)];
}
