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

    /// <summary>Feeds tokens to several of this model's sessions; one that reads its weights once for all of them does so here.</summary>
    void Append(IReadOnlyList<(ISession Session, ReadOnlyMemory<int> Ids)> parts)
    {
        foreach (var (session, ids) in parts)
            session.Append(ids.Span);
    }
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

    /// <summary>The law of the next token as a row that can be combined with those of other models; good until the session changes, not to be disposed of.
    /// Null where there is no such row. Needs at least one token.</summary>
    IJoinableRows? NextRow() => null;
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
