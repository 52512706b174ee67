namespace MergeKit.Core.Evaluation.Statistics;

/// <summary>The bootstrap over documents of a ratio of sums, such as bits per byte: numerators and denominators of a document stay together.</summary>
public static class RatioBootstrap
{
    /// <summary>sum(numerators) / sum(denominators); NaN when the denominators sum to 0.</summary>
    public static double Ratio(IReadOnlyList<double> numerators, IReadOnlyList<double> denominators) =>
        denominators.Sum() is var below && below != 0 ? numerators.Sum() / below : double.NaN;

    /// <summary>The percentile 95 % interval of the ratio, drawn over documents; null below two documents.</summary>
    public static Interval? Interval95(IReadOnlyList<double> numerators, IReadOnlyList<double> denominators, int draws = 10_000, ulong seed = 0)
    {
        if (numerators.Count < 2)
            return null;
        var ratios = Draw(numerators, denominators, draws, seed);
        Array.Sort(ratios);
        return new Interval(Resampling.Quantile(ratios, 0.025), Resampling.Quantile(ratios, 0.975));
    }

    /// <summary>Compares the ratios of two models over the same documents, both drawn with the same indices. Null below two documents.
    /// The p is two-sided, 2 min over both sides of (r + 1) / (B + 1), at most 1; a draw without a difference (infinite on both sides) counts for both.</summary>
    public static (double Difference, Interval Percentile95, double PValue)? Compare(
        IReadOnlyList<double> numeratorsA, IReadOnlyList<double> denominatorsA,
        IReadOnlyList<double> numeratorsB, IReadOnlyList<double> denominatorsB, int draws = 10_000, ulong seed = 0)
    {
        if (numeratorsA.Count != numeratorsB.Count)
            throw new EvaluationException(EvaluationError.InvalidParameter, $"paired ratios need the same documents; got {numeratorsA.Count} and {numeratorsB.Count}");
        if (numeratorsA.Count < 2)
            return null;
        var (a, b) = (Draw(numeratorsA, denominatorsA, draws, seed), Draw(numeratorsB, denominatorsB, draws, seed));
        var differences = a.Zip(b, (x, y) => x - y).ToArray();
        Array.Sort(differences);
        var (below, above) = (differences.Count(d => !(d > 0)), differences.Count(d => !(d < 0)));
        return (
            Ratio(numeratorsA, denominatorsA) - Ratio(numeratorsB, denominatorsB),
            new Interval(Resampling.Quantile(differences, 0.025), Resampling.Quantile(differences, 0.975)),
            Math.Min(1, 2.0 * (Math.Min(below, above) + 1) / (draws + 1)));
    }

    private static double[] Draw(IReadOnlyList<double> numerators, IReadOnlyList<double> denominators, int draws, ulong seed)
    {
        if (numerators.Count != denominators.Count)
            throw new EvaluationException(EvaluationError.InvalidParameter, $"{numerators.Count} numerators but {denominators.Count} denominators");
        var (above, below) = (numerators.ToArray(), denominators.ToArray());
        var ratios = new double[draws];
        var indices = new int[above.Length];
        for (var draw = 0; draw < draws; draw++)
        {
            Resampling.Fill(indices, seed, draw);
            var (top, bottom) = (0.0, 0.0);
            foreach (var index in indices)
                (top, bottom) = (top + above[index], bottom + below[index]);
            ratios[draw] = bottom == 0 ? double.NaN : top / bottom;
        }

        return ratios;
    }
}
