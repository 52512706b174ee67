using MergeKit.Core.Evaluation.Statistics;

namespace MergeKit.Core.Workflows.Learning;

/// <summary>One member's part in what was learned. NLL in nats per answer token.</summary>
/// <param name="Name">The member.</param>
/// <param name="Weight">Its weight, or exponent.</param>
/// <param name="StandardError">With examples as clusters; null where the weight is at its bound.</param>
/// <param name="FoldLow">The least weight over the folds.</param>
/// <param name="FoldHigh">The greatest.</param>
/// <param name="Alone">NLL of the member alone.</param>
/// <param name="Without">Cross-validated NLL of the mixture learned without it; null for one of a single member.</param>
public sealed record MemberWeight(string Name, double Weight, double? StandardError, double FoldLow, double FoldHigh, double Alone, double? Without);

/// <summary>The learned mixture against another one on held-out folds, paired by example.</summary>
/// <param name="Other">What it is compared with.</param>
/// <param name="Nll">The other's NLL per answer token.</param>
/// <param name="Difference">Learned minus other; below 0 the learned one is better.</param>
/// <param name="Interval">95 % by the bootstrap over examples; null with one example.</param>
/// <param name="PValue">Two-sided.</param>
public sealed record LearnComparison(string Other, double Nll, double Difference, Interval? Interval, double PValue);

/// <summary>Learned weights with everything needed to judge them.</summary>
/// <param name="Rule">The kind of ensemble.</param>
/// <param name="Method">How they were learned.</param>
/// <param name="Members">Per member.</param>
/// <param name="Examples">Number of examples.</param>
/// <param name="Tokens">Number of answer tokens.</param>
/// <param name="Nll">NLL per answer token on the examples themselves.</param>
/// <param name="CrossValidatedNll">NLL of each fold under weights learned from the others.</param>
/// <param name="Certificate">What says that the optimum was reached.</param>
/// <param name="Comparisons">Against uniform weights and the best single member.</param>
/// <param name="Seconds">Time to learn, after the members were run.</param>
public sealed record LearnedWeights(
    string Rule, string Method, IReadOnlyList<MemberWeight> Members, int Examples, int Tokens, double Nll, double CrossValidatedNll,
    string Certificate, IReadOnlyList<LearnComparison> Comparisons, double Seconds)
{
    /// <summary>The gate, where one was learned and is better than constant weights.</summary>
    public LearnedGate? Gate { get; init; }

    /// <summary>The weights alone.</summary>
    public double[] Weights => [.. Members.Select(member => member.Weight)];
}

/// <summary>A gate against constant weights.</summary>
/// <param name="Weights">W over the raw features, [members][features].</param>
/// <param name="Bias">b.</param>
/// <param name="CrossValidatedNll">NLL of each fold under a gate learned from the others.</param>
/// <param name="Kept">Whether it beats the constant weights there.</param>
public sealed record LearnedGate(double[][] Weights, double[] Bias, double CrossValidatedNll, bool Kept);
