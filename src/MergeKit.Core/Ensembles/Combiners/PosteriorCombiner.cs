using System.Numerics;
using MergeKit.Core.Models;

namespace MergeKit.Core.Ensembles.Combiners;

/// <summary>A mixture whose weights follow the evidence: w_k ~ w_k^temper p_k(x) after every token, normalised, then (1 - share) w_k + share / K
/// (fixed share, Herbster and Warmuth 1998). With temper 1 and share 0 it is the exact Bayes mixture of whole sequences.</summary>
public sealed class PosteriorCombiner : ITokenCombiner, IJoinableCombiner
{
    private readonly double[] _prior;
    private readonly double _temper, _share;

    /// <summary>A Bayesian mixture.</summary>
    /// <param name="prior">Weights before the first token, divided by their sum.</param>
    /// <param name="temper">The power of the old weights; below 1 they are forgotten.</param>
    /// <param name="share">The part that is shared out evenly after every token, 0 to 1.</param>
    /// <exception cref="EnsembleException">A parameter is outside its range.</exception>
    public PosteriorCombiner(IReadOnlyList<double> prior, double temper = 1, double share = 0)
    {
        _prior = LogMixture.LogWeights(prior);
        if (temper is not (>= 0 and <= 1) || share is not (>= 0 and <= 1))
            throw new EnsembleException(EnsembleError.InvalidParameter, $"temper is {temper} and share {share}: 0 to 1 is wanted for both");
        (_temper, _share) = (temper, share);
    }

    /// <inheritdoc/>
    public int Members => _prior.Length;

    /// <summary>The members' log-weights.</summary>
    public int StateSize => _prior.Length;

    /// <inheritdoc/>
    public bool Reads(int member) => _share > 0 || !double.IsNegativeInfinity(_prior[member]);

    /// <inheritdoc/>
    public void Begin(Span<double> state) => _prior.CopyTo(state);

    /// <inheritdoc/>
    public void Observe(in StepContext step, ReadOnlySpan<double> tokenLogProbs, Span<double> next) =>
        Update(step.State, tokenLogProbs, _temper, _share, next);

    /// <inheritdoc/>
    public void Combine<T>(in StepContext step, ReadOnlySpan<ReadOnlyMemory<T>> members, Span<T> logProbs)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        RowMath.CheckLengths(members, this, logProbs.Length);
        LogMixture.Combine(members, step.State, logProbs);
    }

    /// <inheritdoc/>
    public LawForm Form => LogMixture.Form;

    /// <inheritdoc/>
    public void Coefficients(in StepContext step, Span<double> coefficients) => step.State.CopyTo(coefficients);

    /// <inheritdoc/>
    public double LogProb(in StepContext step, ReadOnlySpan<double> tokenLogProbs) => LogMixture.LogProb(tokenLogProbs, step.State);

    /// <summary>The log-weights after a token. A token that is impossible for every member says nothing and changes nothing but the share.</summary>
    public static void Update(ReadOnlySpan<double> logWeights, ReadOnlySpan<double> tokenLogProbs, double temper, double share, Span<double> next)
    {
        for (var k = 0; k < next.Length; k++)
            next[k] = double.IsNegativeInfinity(logWeights[k]) ? logWeights[k] : (temper * logWeights[k]) + tokenLogProbs[k];
        var total = RowMath.LogSumExp<double>(next);
        for (var k = 0; k < next.Length; k++)
        {
            var weight = double.IsNegativeInfinity(total) ? logWeights[k] : next[k] - total;
            next[k] = share == 0 ? weight : Math.Log(((1 - share) * Math.Exp(weight)) + (share / next.Length));
        }
    }
}
