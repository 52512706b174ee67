namespace MergeKit.Core.Models;

/// <summary>Anything that gives a distribution over the next token: a checkpoint, a merge, a mixture, an ensemble.</summary>
public interface ILanguageModel : IDisposable
{
    /// <summary>What to call it in tables.</summary>
    string Name { get; }

    /// <summary>Number of token ids that have a logit.</summary>
    int VocabularySize { get; }

    /// <summary>The most tokens a session can hold.</summary>
    int MaxLength { get; }

    /// <summary>Starts an empty sequence.</summary>
    ISession Open();

    /// <summary>Scores many continuations; results in the order of the requests. Never holds requests x vocabulary logits.</summary>
    IReadOnlyList<TokenScores> Score(IReadOnlyList<ScoreRequest> requests);
}

/// <summary>One growing sequence with its key-value cache. Not thread-safe; sessions of one model are independent.</summary>
public interface ISession : IDisposable
{
    /// <summary>Tokens held.</summary>
    int Length { get; }

    /// <summary>Feeds tokens.</summary>
    void Append(ReadOnlySpan<int> ids);

    /// <summary>Forgets everything from position <paramref name="length"/> on.</summary>
    void Truncate(int length);

    /// <summary>Writes the logits of the next token, one per id of the vocabulary. Needs at least one token.</summary>
    void NextLogits(Span<float> logits);

    /// <summary>Scores a continuation of what is held, and appends it.</summary>
    TokenScores Score(ReadOnlySpan<int> continuation);
}

/// <summary>A session that finds the most probable token without giving all logits out.</summary>
public interface IGreedySession : ISession
{
    /// <summary>The most probable next token, the lowest id of equal ones; -1 where the largest logit is no finite number. Needs at least one token.</summary>
    int NextArgMax();
}

/// <summary>A model that continues many sequences at once.</summary>
public interface IBatchGenerator : ILanguageModel
{
    /// <summary>Continues prompts greedily: each next token is the most probable one, the lowest id of equal ones. Sequences that end make room for others.</summary>
    /// <param name="prompts">The prompts, each of at least one token.</param>
    /// <param name="goOn">Receives a prompt's index and its next token; says whether to draw another.</param>
    /// <param name="cancellation">Stops between tokens.</param>
    void Generate(IReadOnlyList<ReadOnlyMemory<int>> prompts, Func<int, int, bool> goOn, CancellationToken cancellation = default);
}

/// <summary>A continuation to score after a context. The context holds at least one token.</summary>
public readonly record struct ScoreRequest(ReadOnlyMemory<int> Context, ReadOnlyMemory<int> Continuation);

/// <summary>Natural-log probabilities of given tokens, and whether each was the arg-max (lowest id wins ties).</summary>
public sealed record TokenScores(float[] LogProbs, bool[] IsArgMax)
{
    /// <summary>The sum of the log-probabilities, in double precision.</summary>
    public double Sum => LogProbs.Sum(value => (double)value);
}
