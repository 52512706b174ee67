using System.Numerics;
using MergeKit.Core.Ensembles.Learning;
using MergeKit.Core.Models;

namespace MergeKit.Core.Ensembles;

/// <summary>What a combiner may know of the place it is asked about.</summary>
public readonly ref struct StepContext
{
    /// <summary>Tokens before the one to be predicted.</summary>
    public int Position { get; init; }

    /// <summary>How many tokens of the sequence are the prompt.</summary>
    public int PromptLength { get; init; }

    /// <summary>What the last token is, as far as a gate looks at it.</summary>
    public TokenClass LastClass { get; init; }

    /// <summary>The combiner's memory of the tokens so far; empty for one without.</summary>
    public ReadOnlySpan<double> State { get; init; }
}

/// <summary>Makes one next-token law of several. Stateless in itself: what must be remembered of a sequence is a few numbers per position, which
/// the sequence's owner keeps, so that going back costs nothing. Thread-safe.</summary>
/// <remarks>Rows are logits or log-probabilities; <c>l_k</c> is the log-softmax of row k. The row of a member that is not read may be empty.</remarks>
public interface ICombiner
{
    /// <summary>Number of members.</summary>
    int Members { get; }

    /// <summary>Doubles to remember per position; 0 for none.</summary>
    int StateSize => 0;

    /// <summary>Whether a member's row is looked at; one of weight 0 need not be run.</summary>
    bool Reads(int member) => true;

    /// <summary>Writes the memory of an empty sequence.</summary>
    void Begin(Span<double> state)
    {
    }

    /// <summary>Whether the memory depends on what the members gave to a token; where not, it stays as it is, and the token need not be scored.</summary>
    /// <param name="position">Tokens before it.</param>
    /// <param name="promptLength">Tokens of the prompt.</param>
    bool Observes(int position, int promptLength) => StateSize > 0;

    /// <summary>The memory after a token has become known.</summary>
    /// <param name="step">The place of the token, with the memory before it.</param>
    /// <param name="tokenLogProbs">ln p_k(token) of every member.</param>
    /// <param name="next">Receives the memory after it.</param>
    void Observe(in StepContext step, ReadOnlySpan<double> tokenLogProbs, Span<double> next) => step.State.CopyTo(next);

    /// <summary>Writes the combined law as normalised log-probabilities; <c>-inf</c> for an impossible token.</summary>
    /// <typeparam name="T"><see cref="float"/> in the engine, <see cref="double"/> where its error matters.</typeparam>
    /// <param name="step">The place.</param>
    /// <param name="members">One row per member, all as long as the result.</param>
    /// <param name="logProbs">Receives the result.</param>
    /// <exception cref="EnsembleException">There is no result.</exception>
    void Combine<T>(in StepContext step, ReadOnlySpan<ReadOnlyMemory<T>> members, Span<T> logProbs)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>;
}

/// <summary>A combiner that can tell a token's probability from the members' probabilities of the same token: K numbers instead of K rows.</summary>
public interface ITokenCombiner : ICombiner
{
    /// <summary>ln p(token).</summary>
    /// <param name="step">The place.</param>
    /// <param name="tokenLogProbs">ln p_k(token) of every member.</param>
    double LogProb(in StepContext step, ReadOnlySpan<double> tokenLogProbs);
}

/// <summary>A combiner that looks once at the members' laws over the whole prompt.</summary>
public interface IPromptCombiner : ICombiner
{
    /// <summary>Writes the memory that holds from the end of the prompt on.</summary>
    /// <param name="members">Per member, its laws of the prompt's tokens from the second on.</param>
    /// <param name="tokens">These tokens; at least one.</param>
    /// <param name="state">Receives the memory.</param>
    void ObservePrompt(IReadOnlyList<IAnswerLogits> members, IReadOnlyList<int> tokens, Span<double> state);
}

/// <summary>A combiner whose rule can be told to whoever computes the members' rows, so that these need not be given out.</summary>
public interface IJoinableCombiner : ICombiner
{
    /// <summary>The rule; null where its parameters leave it without such a form.</summary>
    LawForm? Form { get; }

    /// <summary>Writes one coefficient per member.</summary>
    void Coefficients(in StepContext step, Span<double> coefficients);
}

/// <summary>A rough kind of token, for gates.</summary>
public enum TokenClass
{
    /// <summary>There is no token, or it is special.</summary>
    None,

    /// <summary>Letters.</summary>
    Word,

    /// <summary>Digits.</summary>
    Number,

    /// <summary>White space.</summary>
    Space,

    /// <summary>Anything else.</summary>
    Symbol,
}
