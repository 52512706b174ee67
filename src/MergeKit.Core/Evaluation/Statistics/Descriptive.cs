using MathNet.Numerics;
using MathNet.Numerics.Distributions;

namespace MergeKit.Core.Evaluation.Statistics;

/// <summary>A confidence interval.</summary>
/// <param name="Low">Lower end.</param>
/// <param name="High">Upper end.</param>
public readonly record struct Interval(double Low, double High);

/// <summary>A mean with its standard error s / sqrt(n), s with n - 1 (NaN for one item), and its normal 95 % interval.</summary>
public sealed record MeanEstimate(double Mean, double StandardError, int Count)
{
    /// <summary>mean +- z * standard error.</summary>
    public Interval Normal95 => new(Mean - (Descriptive.Z95 * StandardError), Mean + (Descriptive.Z95 * StandardError));
}

/// <summary>Means, deviations, intervals and tail probabilities.</summary>
public static class Descriptive
{
    /// <summary>The 97.5 % quantile of the standard normal law.</summary>
    public const double Z95 = 1.959963984540054;

    /// <summary>The arithmetic mean; NaN without items.</summary>
    public static double Mean(IReadOnlyList<double> values)
    {
        var sum = 0.0;
        for (var i = 0; i < values.Count; i++)
            sum += values[i];
        return sum / values.Count;
    }

    /// <summary>The sample standard deviation, with n - 1; NaN below two items.</summary>
    public static double StandardDeviation(IReadOnlyList<double> values)
    {
        if (values.Count < 2)
            return double.NaN;
        var (mean, sum) = (Mean(values), 0.0);
        for (var i = 0; i < values.Count; i++)
            sum += (values[i] - mean) * (values[i] - mean);
        return Math.Sqrt(sum / (values.Count - 1));
    }

    /// <summary>Mean and standard error. Errors: no items.</summary>
    public static MeanEstimate Estimate(IReadOnlyList<double> values) => values.Count > 0
        ? new MeanEstimate(Mean(values), StandardDeviation(values) / Math.Sqrt(values.Count), values.Count)
        : throw new EvaluationException(EvaluationError.TooFewItems, "a mean needs at least one item");

    /// <summary>Wilson's interval of a proportion (Wilson 1927): the p with |p^ - p| &lt;= z sqrt(p (1 - p) / n).</summary>
    public static Interval Wilson(double proportion, int count, double z = Z95)
    {
        if (count <= 0 || proportion is < 0 or > 1)
            throw new EvaluationException(EvaluationError.InvalidParameter, $"Wilson's interval needs a proportion in [0, 1] of at least one item; got {proportion} of {count}");
        var (n, z2) = ((double)count, z * z);
        var centre = (proportion + (z2 / (2 * n))) / (1 + (z2 / n));
        var half = z / (1 + (z2 / n)) * Math.Sqrt((proportion * (1 - proportion) / n) + (z2 / (4 * n * n)));
        return new Interval(proportion == 0 ? 0 : Math.Max(0, centre - half), proportion == 1 ? 1 : Math.Min(1, centre + half));
    }

    /// <summary>P(|Z| &gt;= |z|) of the standard normal law.</summary>
    public static double NormalTwoSided(double z) => SpecialFunctions.Erfc(Math.Abs(z) / Math.Sqrt(2));

    /// <summary>P(|T| &gt;= |t|) of Student's t law.</summary>
    public static double StudentTwoSided(double t, double degreesOfFreedom)
    {
        if (double.IsInfinity(t))
            return 0;
        return SpecialFunctions.BetaRegularized(degreesOfFreedom / 2, 0.5, degreesOfFreedom / (degreesOfFreedom + (t * t)));
    }

    /// <summary>P(X &gt;= x) of the chi-square law with one degree of freedom.</summary>
    public static double ChiSquareUpper(double x) => SpecialFunctions.Erfc(Math.Sqrt(x / 2));

    /// <summary>The quantile of the standard normal law.</summary>
    public static double NormalQuantile(double probability) => Normal.InvCDF(0, 1, probability);
}
