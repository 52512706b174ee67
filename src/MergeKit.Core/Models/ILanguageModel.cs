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

    /// <summary>The log-probabilities of <see cref="Score"/> alone; cheaper where the arg-max costs extra, as in a mixture.</summary>
    IReadOnlyList<float[]> LogProbs(IReadOnlyList<ScoreRequest> requests) => [.. Score(requests).Select(scores => scores.LogProbs)];

    /// <summary>The whole law of every continuation token, in the order of requests and tokens, to be read block by block.</summary>
    ILogitRows Rows(IReadOnlyList<ScoreRequest> requests) => new SessionRows(this, requests);

    /// <summary>The whole law of every token of a continuation of one of this model's sessions, to which it is appended.</summary>
    ILogitRows Rows(ISession session, ReadOnlySpan<int> continuation) => new BufferedRows(session, VocabularySize, continuation);
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

    /// <summary>The log-probabilities of <see cref="Score"/> alone; cheaper where the arg-max costs extra, as in a mixture.</summary>
    float[] LogProbs(ReadOnlySpan<int> continuation) => Score(continuation).LogProbs;
}

/// <summary>The laws of several positions: logits whose log-softmax is the law. Rows can be read as often as wanted while the model is open.</summary>
public interface ILogitRows : IDisposable
{
    /// <summary>Number of rows.</summary>
    int Count { get; }

    /// <summary>Writes the rows from <paramref name="first"/> on, as many as there is room for.</summary>
    /// <param name="first">The first row.</param>
    /// <param name="logits">[rows, vocabulary], row-major.</param>
    void Read(int first, Span<float> logits);
}

/// <summary>A continuation to score after a context. The context holds at least one token.</summary>
public readonly record struct ScoreRequest(ReadOnlyMemory<int> Context, ReadOnlyMemory<int> Continuation);

/// <summary>Natural-log probabilities of given tokens, and whether each was the arg-max (lowest id wins ties).</summary>
public sealed record TokenScores(float[] LogProbs, bool[] IsArgMax)
{
    /// <summary>The sum of the log-probabilities, in double precision.</summary>
    public double Sum => LogProbs.Sum(value => (double)value);
}
