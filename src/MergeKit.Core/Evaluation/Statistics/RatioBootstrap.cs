namespace MergeKit.Core.Evaluation.Statistics;

/// <summary>The bootstrap over documents of a ratio of sums, such as bits per byte: numerators and denominators of a document stay together.</summary>
public static class RatioBootstrap
{
    /// <summary>Keeps the seeds of data sets apart: 2^64 divided by the golden ratio.</summary>
    private const ulong DataSetStep = 0x9E3779B97F4A7C15;

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
        return Judge(Ratio(numeratorsA, denominatorsA) - Ratio(numeratorsB, denominatorsB), Differences(new PairedRatios(numeratorsA, denominatorsA, numeratorsB, denominatorsB), draws, seed));
    }

    /// <summary>Compares the plain mean over several data sets of the ratios of two models: documents are drawn within each data set, independently of the others, with the same
    /// indices for both models. Errors: no data sets, a data set of fewer than two documents, or of unlike lengths.</summary>
    public static (double Difference, Interval Percentile95, double PValue) CompareMeans(IReadOnlyList<PairedRatios> dataSets, int draws = 10_000, ulong seed = 0)
    {
        if (dataSets.Count == 0 || dataSets.Any(data => data.NumeratorsA.Count != data.NumeratorsB.Count || data.NumeratorsA.Count < 2))
            throw new EvaluationException(EvaluationError.TooFewItems, $"a mean of paired ratios needs data sets of two or more documents; got {string.Join(", ", dataSets.Select(data => $"{data.NumeratorsA.Count} and {data.NumeratorsB.Count}"))}");
        var means = new double[draws];
        foreach (var (index, data) in dataSets.Index())
            foreach (var (draw, difference) in Differences(data, draws, seed + (DataSetStep * (ulong)index)).Index())
                means[draw] += difference / dataSets.Count;
        return Judge(dataSets.Average(data => Ratio(data.NumeratorsA, data.DenominatorsA) - Ratio(data.NumeratorsB, data.DenominatorsB)), means);
    }

    private static double[] Differences(PairedRatios data, int draws, ulong seed) =>
        [.. Draw(data.NumeratorsA, data.DenominatorsA, draws, seed).Zip(Draw(data.NumeratorsB, data.DenominatorsB, draws, seed), (x, y) => x - y)];

    private static (double Difference, Interval Percentile95, double PValue) Judge(double difference, double[] drawn)
    {
        Array.Sort(drawn);
        var (below, above) = (drawn.Count(d => !(d > 0)), drawn.Count(d => !(d < 0)));
        return (
            difference, new Interval(Resampling.Quantile(drawn, 0.025), Resampling.Quantile(drawn, 0.975)),
            Math.Min(1, 2.0 * (Math.Min(below, above) + 1) / (drawn.Length + 1)));
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

/// <summary>Two models on the documents of one data set.</summary>
/// <param name="NumeratorsA">Per document a's numerator.</param>
/// <param name="DenominatorsA">Per document a's denominator.</param>
/// <param name="NumeratorsB">Per document b's numerator.</param>
/// <param name="DenominatorsB">Per document b's denominator.</param>
public readonly record struct PairedRatios(
    IReadOnlyList<double> NumeratorsA, IReadOnlyList<double> DenominatorsA, IReadOnlyList<double> NumeratorsB, IReadOnlyList<double> DenominatorsB);
