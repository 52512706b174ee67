namespace MergeKit.Core.Evaluation.Statistics;

/// <summary>How many items a comparison needs, and how small a difference it can show.</summary>
public static class Power
{
    /// <summary>((z_{1-alpha/2} + z_power) sd / delta)^2: items to see a true mean difference delta of paired scores. Round up.</summary>
    public static double Items(double standardDeviation, double delta, double alpha = 0.05, double power = 0.8)
    {
        if (delta == 0 || standardDeviation < 0)
            throw new EvaluationException(EvaluationError.InvalidParameter, $"a difference of {delta} with a deviation of {standardDeviation} cannot be planned for");
        return Math.Pow(Quantiles(alpha, power) * standardDeviation / delta, 2);
    }

    /// <summary>(z_{1-alpha/2} + z_power) sd / sqrt(n): the smallest true difference that n items show.</summary>
    public static double DetectableDifference(double standardDeviation, int items, double alpha = 0.05, double power = 0.8)
    {
        if (items < 1 || standardDeviation < 0)
            throw new EvaluationException(EvaluationError.InvalidParameter, $"{items} items with a deviation of {standardDeviation} show no difference");
        return Quantiles(alpha, power) * standardDeviation / Math.Sqrt(items);
    }

    private static double Quantiles(double alpha, double power)
    {
        if (alpha is <= 0 or >= 1 || power is <= 0 or >= 1)
            throw new EvaluationException(EvaluationError.InvalidParameter, $"alpha {alpha} and power {power} must lie between 0 and 1");
        return Descriptive.NormalQuantile(1 - (alpha / 2)) + Descriptive.NormalQuantile(power);
    }
}

/// <summary>Holm's step-down correction for several tests (1979).</summary>
public static class Holm
{
    /// <summary>Adjusted p-values in the order given: sorted, times m - rank, running maximum, at most 1.</summary>
    public static double[] Adjust(IReadOnlyList<double> pValues)
    {
        var order = Enumerable.Range(0, pValues.Count).OrderBy(i => pValues[i]).ToArray();
        var adjusted = new double[pValues.Count];
        var largest = 0.0;
        for (var rank = 0; rank < order.Length; rank++)
        {
            largest = Math.Max(largest, Math.Min(1, pValues[order[rank]] * (order.Length - rank)));
            adjusted[order[rank]] = largest;
        }

        return adjusted;
    }
}
