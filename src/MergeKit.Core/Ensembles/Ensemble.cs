using MergeKit.Core.Diagnostics;
using MergeKit.Core.Models;

namespace MergeKit.Core.Ensembles;

/// <summary>How an ensemble runs its members.</summary>
public sealed record EnsembleOptions
{
    /// <summary>Ids of the combined law: what members have beyond them (padding rows) is cut off; null: the smallest member's.</summary>
    public int? VocabularySize { get; init; }

    /// <summary>Where the leader's largest probability exceeds this, the leader alone decides and the others are not run (GaC, Yu et al. 2024).</summary>
    public double? LeaderThreshold { get; init; }

    /// <summary>The member that leads.</summary>
    public int Leader { get; init; }

    /// <summary>The class of each id, for gates.</summary>
    public IReadOnlyList<TokenClass> Classes { get; init; } = [];

    /// <summary>Most rows combined at the same time.</summary>
    public int Threads { get; init; } = Environment.ProcessorCount;
}

/// <summary>Several language models as one: their next-token laws, over one vocabulary, combined at every step. Thread-safe where its members are.</summary>
/// <remarks>A member that stands in several places is run once. One that the combiner does not read is not run.</remarks>
public sealed class Ensemble : ILanguageModel
{
    private const int TokensPerGroup = 8192;
    private readonly EnsembleOptions _options;

    /// <summary>Makes an ensemble.</summary>
    /// <param name="name">What to call it.</param>
    /// <param name="members">One model per place of the combiner, over one vocabulary; disposed of together with the ensemble.</param>
    /// <param name="combiner">The rule.</param>
    /// <param name="options">How to run them.</param>
    /// <exception cref="EnsembleException">Sizes disagree, or an option is outside its range.</exception>
    public Ensemble(string name, IReadOnlyList<ILanguageModel> members, ICombiner combiner, EnsembleOptions? options = null)
    {
        (Name, Members, _options) = (name, members, options ?? new EnsembleOptions());
        if (members.Count != combiner.Members)
            throw new EnsembleException(EnsembleError.InvalidParameter, $"{name}: {members.Count} members for a rule of {combiner.Members}");
        Combiner = _options.LeaderThreshold is { } threshold ? new LeaderCombiner(combiner, _options.Leader, threshold) : combiner;
        Runs = [.. members.Where((_, k) => Combiner.Reads(k)).Distinct()];
        RunOf = [.. members.Select((member, k) => Combiner.Reads(k) ? Array.IndexOf(Runs, member) : -1)];
        Owners = [.. Runs.Select(PrefixedModel.Owner)];
        VocabularySize = _options.VocabularySize ?? Runs.Min(run => run.VocabularySize);
        if (Runs.FirstOrDefault(run => run.VocabularySize < VocabularySize) is { } small)
            throw new EnsembleException(EnsembleError.InvalidParameter, $"{name}: '{small.Name}' has {small.VocabularySize} ids, the ensemble {VocabularySize}");
        Joined = JoinedRule.Of(this);
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <summary>The members, one per place of the rule.</summary>
    public IReadOnlyList<ILanguageModel> Members { get; }

    /// <inheritdoc/>
    public int VocabularySize { get; }

    /// <inheritdoc/>
    public int MaxLength => Runs.Min(run => run.MaxLength);

    /// <summary>The rule.</summary>
    internal ICombiner Combiner { get; }

    /// <summary>The rule, where it needs no rows: members that have ids beyond the combined ones must be normalised without these, which takes rows.</summary>
    internal ITokenCombiner? TokenRule => Array.TrueForAll(Runs, run => run.VocabularySize == VocabularySize) ? Combiner as ITokenCombiner : null;

    /// <summary>The models that are really run.</summary>
    internal ILanguageModel[] Runs { get; }

    /// <summary>Per place of the rule which run it reads; -1 for none.</summary>
    internal int[] RunOf { get; }

    /// <summary>Per run the model that has the weights: runs of one owner read them together.</summary>
    internal ILanguageModel[] Owners { get; }

    /// <summary>The rule for those who can combine rows where they are computed; null where it has no such form.</summary>
    internal JoinedRule? Joined { get; }

    /// <summary>Most rows combined at the same time.</summary>
    internal int Threads => _options.Threads;

    /// <summary>The leader's rule, where there is one.</summary>
    internal LeaderCombiner? Leader => Combiner as LeaderCombiner;

    /// <inheritdoc/>
    public ISession Open() => new EnsembleSession(this);

    /// <inheritdoc/>
    public IReadOnlyList<TokenScores> Score(IReadOnlyList<ScoreRequest> requests) => ScoreRows(requests, withArgMax: true);

    /// <inheritdoc/>
    public IReadOnlyList<float[]> LogProbs(IReadOnlyList<ScoreRequest> requests)
    {
        Check(requests);
        return TokenRule is { } rule ? TokenScoring.LogProbs(this, rule, requests)
            : [.. ScoreRows(requests, withArgMax: false).Select(scores => scores.LogProbs)];
    }

    /// <inheritdoc/>
    public ILogitRows Rows(IReadOnlyList<ScoreRequest> requests) => OpenRows(requests);

    /// <inheritdoc/>
    public ILogitRows Rows(ISession session, ReadOnlySpan<int> continuation) =>
        Combiner.StateSize == 0 ? ((EnsembleSession)session).Rows(continuation) : new BufferedRows(session, VocabularySize, continuation);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var member in Members.Distinct())
            member.Dispose();
    }

    /// <summary>The class of an id, as gates see it.</summary>
    internal TokenClass ClassOf(int id) => id >= 0 && id < _options.Classes.Count ? _options.Classes[id] : TokenClass.None;

    /// <summary>The combined law of a position.</summary>
    /// <param name="step">The position.</param>
    /// <param name="rows">One row per run, each of at least the ensemble's ids.</param>
    /// <param name="logProbs">Receives the law.</param>
    internal void Combine(in StepContext step, ReadOnlySpan<ReadOnlyMemory<float>> rows, Span<float> logProbs)
    {
        var members = new ReadOnlyMemory<float>[RunOf.Length];
        for (var k = 0; k < members.Length; k++)
            if (RunOf[k] >= 0)
                members[k] = rows[RunOf[k]][..logProbs.Length];
        Combiner.Combine(step, members, logProbs);
    }

    /// <summary>Fails where an id is outside the combined vocabulary.</summary>
    internal void CheckIds(ReadOnlySpan<int> ids)
    {
        foreach (var id in ids)
            if (id < 0 || id >= VocabularySize)
                throw new InputException($"{Name}: token id {id} is outside the vocabulary of {VocabularySize}");
    }

    private void Check(IReadOnlyList<ScoreRequest> requests)
    {
        foreach (var request in requests)
        {
            CheckIds(request.Context.Span);
            CheckIds(request.Continuation.Span);
        }
    }

    private EnsembleRows OpenRows(IReadOnlyList<ScoreRequest> requests)
    {
        Check(requests);
        var parts = new List<ILogitRows>();
        try
        {
            foreach (var run in Runs)
                parts.Add(run.Rows(requests));
            return new EnsembleRows(this, parts, StepTable.Of(this, requests));
        }
        catch
        {
            parts.ForEach(part => part.Dispose());
            throw;
        }
    }

    private TokenScores[] ScoreRows(IReadOnlyList<ScoreRequest> requests, bool withArgMax)
    {
        var results = new TokenScores[requests.Count];
        for (int first = 0, end = 0; first < requests.Count; first = end)
        {
            for (var tokens = 0; end < requests.Count && (end == first || tokens + Tokens(requests[end]) <= TokensPerGroup); end++)
                tokens += Tokens(requests[end]);
            ScoreRequest[] group = [.. requests.Skip(first).Take(end - first)];
            using var rows = OpenRows(group);
            rows.Score([.. group.SelectMany(request => request.Continuation.ToArray())], withArgMax).Split(group, results.AsSpan(first));
        }

        return results;
    }

    private static int Tokens(ScoreRequest request) => request.Context.Length + request.Continuation.Length;
}
