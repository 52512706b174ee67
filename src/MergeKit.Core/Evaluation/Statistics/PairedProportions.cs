namespace MergeKit.Core.Evaluation.Statistics;

/// <summary>The interval of a difference of two proportions over the same items: Newcombe's square-and-add of Wilson's intervals with the correlation of the two
/// (Newcombe 1998, "Improved confidence intervals for the difference between binomial proportions based on paired data", method 10). It lies within [-1, 1], and has a width
/// also where both models get the same items right.</summary>
public static class PairedProportions
{
    /// <summary>The 95 % interval of the share that a gets right minus the share that b gets right.</summary>
    /// <param name="both">Items that both get right.</param>
    /// <param name="onlyA">Items that only a gets right.</param>
    /// <param name="onlyB">Items that only b gets right.</param>
    /// <param name="neither">Items that neither gets right.</param>
    public static Interval Newcombe95(int both, int onlyA, int onlyB, int neither)
    {
        var n = both + onlyA + onlyB + neither;
        if (n == 0 || Math.Min(Math.Min(both, onlyA), Math.Min(onlyB, neither)) < 0)
            throw new EvaluationException(EvaluationError.InvalidParameter, $"paired proportions need items; got {both}, {onlyA}, {onlyB} and {neither}");
        var (a, b) = ((both + onlyA) / (double)n, (both + onlyB) / (double)n);
        var (ofA, ofB, phi) = (Descriptive.Wilson(a, n), Descriptive.Wilson(b, n), Correlation(both, onlyA, onlyB, neither));
        return new Interval(
            Math.Max(-1, a - b - Joint(a - ofA.Low, ofB.High - b, phi)),
            Math.Min(1, a - b + Joint(ofA.High - a, b - ofB.Low, phi)));
    }

    private static double Joint(double x, double y, double phi) => Math.Sqrt(Math.Max(0, (x * x) - (2 * phi * x * y) + (y * y)));

    /// <summary>The correlation of the two, with Newcombe's continuity correction where it is positive; 0 where one of them does not vary.</summary>
    private static double Correlation(double both, double onlyA, double onlyB, double neither)
    {
        var product = (both + onlyA) * (onlyB + neither) * (both + onlyB) * (onlyA + neither);
        var above = (both * neither) - (onlyA * onlyB);
        return product == 0 ? 0 : (above > 0 ? Math.Max(0, above - ((both + onlyA + onlyB + neither) / 2)) : above) / Math.Sqrt(product);
    }
}
