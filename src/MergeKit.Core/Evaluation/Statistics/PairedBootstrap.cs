namespace MergeKit.Core.Evaluation.Statistics;

/// <summary>The bootstrap of a mean of paired differences (Efron 1979): resamples of all items, with replacement, seeded.</summary>
public sealed class PairedBootstrap
{
    private readonly double[] _sorted;

    private PairedBootstrap(double mean, double idealStandardError, double[] sorted) =>
        (Mean, IdealStandardError, _sorted) = (mean, idealStandardError, sorted);

    /// <summary>The mean of the differences.</summary>
    public double Mean { get; }

    /// <summary>The standard error of the ideal bootstrap over all n^n resamples, sqrt(sum (d - mean)^2) / n.</summary>
    public double IdealStandardError { get; }

    /// <summary>The standard deviation of the drawn means.</summary>
    public double StandardError => Descriptive.StandardDeviation(_sorted);

    /// <summary>The share of drawn means at or below 0.</summary>
    public double ShareLessOrEqualZero => Count(mean => mean <= 0) / (double)_sorted.Length;

    /// <summary>The share of drawn means at or above 0.</summary>
    public double ShareGreaterOrEqualZero => Count(mean => mean >= 0) / (double)_sorted.Length;

    /// <summary>Two-sided p = 2 min over both sides of (r + 1) / (B + 1), at most 1.</summary>
    public double PValue =>
        Math.Min(1, 2.0 * (Math.Min(Count(mean => mean <= 0), Count(mean => mean >= 0)) + 1) / (_sorted.Length + 1));

    /// <summary>The percentile 95 % interval.</summary>
    public Interval Percentile95 => new(Quantile(0.025), Quantile(0.975));

    /// <summary>Draws. Errors: no items, or fewer than two draws.</summary>
    public static PairedBootstrap Of(IReadOnlyList<double> differences, int draws = 10_000, ulong seed = 0)
    {
        if (differences.Count == 0 || draws < 2)
            throw new EvaluationException(EvaluationError.TooFewItems, $"a bootstrap needs items and at least 2 draws; got {differences.Count} and {draws}");
        var values = differences.ToArray();
        var mean = Descriptive.Mean(values);
        var means = new double[draws];
        var indices = new int[values.Length];
        for (var draw = 0; draw < draws; draw++)
        {
            Resampling.Fill(indices, seed, draw);
            var sum = 0.0;
            foreach (var index in indices)
                sum += values[index];
            means[draw] = sum / values.Length;
        }

        Array.Sort(means);
        return new PairedBootstrap(mean, Math.Sqrt(values.Sum(d => (d - mean) * (d - mean))) / values.Length, means);
    }

    /// <summary>The ceil(p B)-th of the B sorted means.</summary>
    public double Quantile(double probability) => Resampling.Quantile(_sorted, probability);

    private int Count(Func<double, bool> test) => _sorted.Count(test);
}
