using System.Numerics;
using MergeKit.Core.Models;

namespace MergeKit.Core.Ensembles.Combiners;

/// <summary>A mixture of probabilities: ln sum_k w_k p_k, the weights divided by their sum (Jelinek and Mercer 1980).</summary>
public sealed class LinearCombiner : ITokenCombiner, IJoinableCombiner
{
    private readonly double[] _logWeights;

    /// <summary>A mixture.</summary>
    /// <param name="weights">One per member, none negative; a member of weight 0 is not run.</param>
    /// <exception cref="EnsembleException">A weight is negative, or all are zero.</exception>
    public LinearCombiner(IReadOnlyList<double> weights) => _logWeights = LogMixture.LogWeights(weights);

    /// <inheritdoc/>
    public int Members => _logWeights.Length;

    /// <inheritdoc/>
    public bool Reads(int member) => !double.IsNegativeInfinity(_logWeights[member]);

    /// <inheritdoc/>
    public void Combine<T>(in StepContext step, ReadOnlySpan<ReadOnlyMemory<T>> members, Span<T> logProbs)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        RowMath.CheckLengths(members, this, logProbs.Length);
        LogMixture.Combine(members, _logWeights, logProbs);
    }

    /// <inheritdoc/>
    public LawForm Form => LogMixture.Form;

    /// <inheritdoc/>
    public void Coefficients(in StepContext step, Span<double> coefficients) => _logWeights.CopyTo(coefficients);

    /// <inheritdoc/>
    public double LogProb(in StepContext step, ReadOnlySpan<double> tokenLogProbs) => LogMixture.LogProb(tokenLogProbs, _logWeights);
}
