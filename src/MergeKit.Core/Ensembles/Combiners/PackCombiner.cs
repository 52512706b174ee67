using System.Numerics;
using MergeKit.Core.Ensembles.Learning;
using MergeKit.Core.Models;

namespace MergeKit.Core.Ensembles.Combiners;

/// <summary>PackLLM's second form (Mavromatis et al. 2024): a weighted sum of logits whose weights make the prompt most likely, found greedily on a grid
/// (<see cref="PackLlmWeights.Greedy"/>). A prompt of one token says nothing: then all members count alike.</summary>
public sealed class PackCombiner : IJoinableCombiner, IPromptCombiner
{
    private readonly int _steps;

    /// <summary>A combination by greedy search.</summary>
    /// <param name="members">Number of members.</param>
    /// <param name="steps">The grid of shares is 0, 1/steps .. 1; 1 to 1000.</param>
    /// <exception cref="EnsembleException">The number of steps is outside its range.</exception>
    public PackCombiner(int members, int steps) => (Members, _steps) = (members, steps is >= 1 and <= 1000 ? steps
        : throw new EnsembleException(EnsembleError.InvalidParameter, $"steps is {steps}: 1 to 1000 is wanted"));

    /// <inheritdoc/>
    public int Members { get; }

    /// <summary>The weights.</summary>
    public int StateSize => Members;

    /// <inheritdoc/>
    public LawForm Form => SignedSum.Form;

    /// <inheritdoc/>
    public void Begin(Span<double> state) => state.Fill(1.0 / Members);

    /// <inheritdoc/>
    public bool Observes(int position, int promptLength) => false;

    /// <inheritdoc/>
    public void ObservePrompt(IReadOnlyList<IAnswerLogits> members, IReadOnlyList<int> tokens, Span<double> state) =>
        PackLlmWeights.Greedy(members, tokens, _steps).Weights.CopyTo(state);

    /// <inheritdoc/>
    public void Coefficients(in StepContext step, Span<double> coefficients) => step.State.CopyTo(coefficients);

    /// <inheritdoc/>
    public void Combine<T>(in StepContext step, ReadOnlySpan<ReadOnlyMemory<T>> members, Span<T> logProbs)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        RowMath.CheckLengths(members, this, logProbs.Length);
        SignedSum.Law(members, step.State, logProbs);
    }
}
