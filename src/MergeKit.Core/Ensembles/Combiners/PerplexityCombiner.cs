using System.Numerics;
using MergeKit.Core.Models;

namespace MergeKit.Core.Ensembles.Combiners;

/// <summary>PackLLM (Mavromatis et al. 2024): a weighted sum of logits, each member trusted as far as it understands the prompt:
/// lambda = softmax(-NLL_k / tau), NLL_k its mean negative log-likelihood of the prompt's tokens. Without any, all count alike.</summary>
public sealed class PerplexityCombiner : IJoinableCombiner
{
    private readonly double _tau;

    /// <summary>A combination by perplexity.</summary>
    /// <param name="members">Number of members.</param>
    /// <param name="tau">The temperature, above 0; the smaller, the more the best member decides.</param>
    /// <exception cref="EnsembleException">The temperature is outside its range.</exception>
    public PerplexityCombiner(int members, double tau = 1)
    {
        if (!(tau > 0 && double.IsFinite(tau)))
            throw new EnsembleException(EnsembleError.InvalidParameter, $"tau is {tau}: a number above 0 is wanted");
        (Members, _tau) = (members, tau);
    }

    /// <inheritdoc/>
    public int Members { get; }

    /// <summary>The sum of each member's negative log-likelihoods over the prompt, and the number of tokens.</summary>
    public int StateSize => Members + 1;

    /// <inheritdoc/>
    public void Begin(Span<double> state) => state.Clear();

    /// <inheritdoc/>
    public bool Observes(int position, int promptLength) => position < promptLength;

    /// <inheritdoc/>
    public void Observe(in StepContext step, ReadOnlySpan<double> tokenLogProbs, Span<double> next)
    {
        step.State.CopyTo(next);
        if (step.Position >= step.PromptLength)
            return;
        for (var k = 0; k < Members; k++)
            next[k] -= tokenLogProbs[k];
        next[Members]++;
    }

    /// <inheritdoc/>
    public LawForm Form => SignedSum.Form;

    /// <inheritdoc/>
    public void Coefficients(in StepContext step, Span<double> coefficients)
    {
        var tokens = Math.Max(1, step.State[Members]);
        for (var k = 0; k < Members; k++)
            coefficients[k] = step.State[k] / tokens;
        Weights(coefficients, _tau).CopyTo(coefficients);
    }

    /// <inheritdoc/>
    public void Combine<T>(in StepContext step, ReadOnlySpan<ReadOnlyMemory<T>> members, Span<T> logProbs)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        RowMath.CheckLengths(members, this, logProbs.Length);
        Span<double> coefficients = stackalloc double[Members];
        Coefficients(step, coefficients);
        SignedSum.Law(members, coefficients, logProbs);
    }

    /// <summary>softmax(-NLL / tau); a member for which the prompt is impossible gets 0, and all count alike where it is for every one.</summary>
    public static double[] Weights(ReadOnlySpan<double> nll, double tau)
    {
        var scores = Array.ConvertAll(nll.ToArray(), value => -value / tau);
        return Array.TrueForAll(scores, double.IsNegativeInfinity) ? [.. scores.Select(_ => 1.0 / scores.Length)] : RowMath.Softmax(scores);
    }
}
