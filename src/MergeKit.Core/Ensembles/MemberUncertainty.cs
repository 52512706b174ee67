using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Ensembles;

/// <summary>How sure several members (or passes of one model under dropout) are, and how far they agree. Entropies in nats.</summary>
/// <param name="Mean">The mean of the members' probabilities.</param>
/// <param name="PredictiveEntropy">The entropy of the mean: all uncertainty.</param>
/// <param name="ExpectedEntropy">The mean of the members' entropies: what lies in the data.</param>
/// <param name="MutualInformation">The difference: what lies in the members' disagreement (Depeweg et al. 2018; Gal 2016).</param>
/// <param name="Votes">The share of members whose most probable class each is; of equals the first.</param>
public sealed record MemberUncertainty(double[] Mean, double PredictiveEntropy, double ExpectedEntropy, double MutualInformation, double[] Votes)
{
    /// <summary>Of probabilities, one row per member. Errors: no rows, lengths that differ, a number below 0 or none.</summary>
    public static MemberUncertainty Of(IReadOnlyList<IReadOnlyList<double>> probabilities)
    {
        if (probabilities.Count == 0 || probabilities[0].Count == 0 || probabilities.Any(row => row.Count != probabilities[0].Count || row.Any(p => !(p >= 0))))
            throw new InputException($"uncertainty needs rows of probabilities of equal length; got {probabilities.Count} rows of {string.Join(", ", probabilities.Select(row => row.Count).Distinct())}");
        var (mean, votes) = (new double[probabilities[0].Count], new double[probabilities[0].Count]);
        foreach (var row in probabilities)
        {
            for (var i = 0; i < mean.Length; i++)
                mean[i] += row[i] / probabilities.Count;
            votes[Enumerable.Range(0, row.Count).MaxBy(i => row[i])] += 1.0 / probabilities.Count;
        }

        var (predictive, expected) = (Entropy(mean), probabilities.Average(Entropy));
        return new MemberUncertainty(mean, predictive, expected, predictive - expected, votes);
    }

    private static double Entropy(IReadOnlyList<double> probabilities) => -probabilities.Sum(p => p > 0 ? p * Math.Log(p) : 0);
}
