namespace MergeKit.Core.Evaluation.Statistics;

/// <summary>Two models on the same items: the difference a - b, judged item by item (Miller 2024).</summary>
/// <param name="MeanA">Mean of a.</param>
/// <param name="MeanB">Mean of b.</param>
/// <param name="Difference">Mean of a - b.</param>
/// <param name="StandardError">s_d / sqrt(n) of the differences.</param>
/// <param name="UnpairedStandardError">sqrt(se_a^2 + se_b^2), what two separate error bars would give.</param>
/// <param name="Correlation">Pearson's correlation of a and b; NaN when one does not vary.</param>
/// <param name="Z">Difference / standard error.</param>
/// <param name="PNormal">Two-sided p by the normal law.</param>
/// <param name="PStudent">Two-sided p by Student's t with n - 1.</param>
/// <param name="McNemar">The exact test for scores of 0 and 1; null for others.</param>
public sealed record PairedComparison(
    double MeanA, double MeanB, double Difference, double StandardError, double UnpairedStandardError, double Correlation,
    double Z, double PNormal, double PStudent, McNemarTest? McNemar)
{
    /// <summary>The normal 95 % interval of the difference.</summary>
    public Interval Normal95 => new(Difference - (Descriptive.Z95 * StandardError), Difference + (Descriptive.Z95 * StandardError));

    /// <summary>The 95 % interval to report: for scores of 0 and 1 Newcombe's, which stays within [-1, 1], else the normal one.</summary>
    public Interval Interval95 { get; private init; }

    /// <summary>Compares. Errors: lengths that differ, or fewer than two items.</summary>
    public static PairedComparison Of(IReadOnlyList<double> a, IReadOnlyList<double> b)
    {
        if (a.Count != b.Count)
            throw new EvaluationException(EvaluationError.InvalidParameter, $"paired scores need the same items; got {a.Count} and {b.Count}");
        if (a.Count < 2)
            throw new EvaluationException(EvaluationError.TooFewItems, "a paired comparison needs at least two items");
        var differences = a.Zip(b, (x, y) => x - y).ToArray();
        var (estimate, ofA, ofB) = (Descriptive.Estimate(differences), Descriptive.Estimate(a), Descriptive.Estimate(b));
        var covariance = a.Zip(b, (x, y) => (x - ofA.Mean) * (y - ofB.Mean)).Sum() / (a.Count - 1);
        var z = estimate.StandardError > 0 ? estimate.Mean / estimate.StandardError
            : estimate.Mean == 0 ? 0 : double.CopySign(double.PositiveInfinity, estimate.Mean);
        var binary = a.Concat(b).All(score => score is 0 or 1);
        var comparison = new PairedComparison(
            ofA.Mean, ofB.Mean, estimate.Mean, estimate.StandardError,
            Math.Sqrt((ofA.StandardError * ofA.StandardError) + (ofB.StandardError * ofB.StandardError)),
            covariance / (ofA.StandardError * ofB.StandardError * a.Count),
            z, Descriptive.NormalTwoSided(z), Descriptive.StudentTwoSided(z, a.Count - 1),
            binary ? McNemarTest.Of(differences.Count(d => d > 0), differences.Count(d => d < 0)) : null);
        return comparison with { Interval95 = comparison.McNemar is { } test ? Binary(a, b, test) : comparison.Normal95 };
    }

    private static Interval Binary(IReadOnlyList<double> a, IReadOnlyList<double> b, McNemarTest test)
    {
        var both = a.Zip(b).Count(pair => pair is (1, 1));
        return PairedProportions.Newcombe95(both, test.OnlyA, test.OnlyB, a.Count - both - test.OnlyA - test.OnlyB);
    }
}

/// <summary>McNemar's test (1947) on the items that only one of two models gets right.</summary>
/// <param name="OnlyA">Items that only a gets right.</param>
/// <param name="OnlyB">Items that only b gets right.</param>
/// <param name="PExact">Two-sided exact binomial p, at most 1.</param>
/// <param name="PMid">Its mid-p form (Fagerland et al. 2013): the probability of the observed count weighs half.</param>
/// <param name="ChiSquare">(b - c)^2 / (b + c).</param>
/// <param name="PChiSquare">Its p with one degree of freedom.</param>
/// <param name="ChiSquareCorrected">With Edwards' continuity correction, max(0, |b - c| - 1)^2 / (b + c).</param>
/// <param name="PChiSquareCorrected">Its p.</param>
public sealed record McNemarTest(
    int OnlyA, int OnlyB, double PExact, double PMid, double ChiSquare, double PChiSquare, double ChiSquareCorrected, double PChiSquareCorrected)
{
    /// <summary>The test of two counts; without discordant items every p is 1.</summary>
    public static McNemarTest Of(int onlyA, int onlyB)
    {
        var (n, least) = (onlyA + onlyB, Math.Min(onlyA, onlyB));
        if (n == 0)
            return new McNemarTest(0, 0, 1, 1, 0, 1, 0, 1);
        var tail = 0.0;
        for (var k = 0; k <= least; k++)
            tail += Binomial(n, k);
        var gap = Math.Abs((double)onlyA - onlyB);
        var (chi, corrected) = (gap * gap / n, Math.Pow(Math.Max(0, gap - 1), 2) / n);
        return new McNemarTest(
            onlyA, onlyB, Math.Min(1, 2 * tail), Math.Min(1, (2 * tail) - Binomial(n, least)),
            chi, Descriptive.ChiSquareUpper(chi), corrected, Descriptive.ChiSquareUpper(corrected));
    }

    private static double Binomial(int n, int k) => MathNet.Numerics.Distributions.Binomial.PMF(0.5, n, k);
}
