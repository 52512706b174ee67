using System.Runtime.ExceptionServices;
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

    /// <summary>Sets of members that run at the same time, each with the threads or the device that it has; all others run one after the other.</summary>
    public IReadOnlyList<IReadOnlyList<ILanguageModel>> AtOnce { get; init; } = [];

    /// <summary>Most rows combined at the same time.</summary>
    public int Threads { get; init; } = Environment.ProcessorCount;
}

/// <summary>Several language models as one: their next-token laws, over one vocabulary, combined at every step. Thread-safe where its members are.</summary>
/// <remarks>A member that stands in several places is run once. One that the combiner does not read is not run.</remarks>
public sealed class Ensemble : ILanguageModel
{
    private const int TokensPerGroup = 8192;
    private readonly int[][] _waves;

    /// <summary>Makes an ensemble.</summary>
    /// <param name="name">What to call it.</param>
    /// <param name="members">One model per place of the combiner, over one vocabulary; disposed of together with the ensemble.</param>
    /// <param name="combiner">The rule.</param>
    /// <param name="options">How to run them.</param>
    /// <exception cref="EnsembleException">Sizes disagree, or an option is outside its range.</exception>
    public Ensemble(string name, IReadOnlyList<ILanguageModel> members, ICombiner combiner, EnsembleOptions? options = null)
    {
        (Name, Members, Options) = (name, members, options ?? new EnsembleOptions());
        if (members.Count != combiner.Members)
            throw new EnsembleException(EnsembleError.InvalidParameter, $"{name}: {members.Count} members for a rule of {combiner.Members}");
        Combiner = Options.LeaderThreshold is { } threshold ? new LeaderCombiner(combiner, Options.Leader, threshold) : combiner;
        Runs = [.. members.Where((_, k) => Combiner.Reads(k)).Distinct()];
        RunOf = [.. members.Select((member, k) => Combiner.Reads(k) ? Array.IndexOf(Runs, member) : -1)];
        Groups = [.. Enumerable.Range(0, Runs.Length).GroupBy(run => PrefixedModel.Owner(Runs[run])).Select(group => (group.Key, group.ToArray()))];
        _waves = Waves();
        VocabularySize = Options.VocabularySize ?? Runs.Min(run => run.VocabularySize);
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

    /// <summary>How members are run.</summary>
    public EnsembleOptions Options { get; }

    /// <summary>The rule.</summary>
    internal ICombiner Combiner { get; }

    /// <summary>The rule, where it needs no rows: members that have ids beyond the combined ones must be normalised without these, which takes rows.</summary>
    internal ITokenCombiner? TokenRule => Array.TrueForAll(Runs, run => run.VocabularySize == VocabularySize) ? Combiner as ITokenCombiner : null;

    /// <summary>The models that are really run.</summary>
    internal ILanguageModel[] Runs { get; }

    /// <summary>Per place of the rule which run it reads; -1 for none.</summary>
    internal int[] RunOf { get; }

    /// <summary>Runs by the model that has the weights: those of one group read them together.</summary>
    internal IReadOnlyList<(ILanguageModel Owner, int[] Runs)> Groups { get; }

    /// <summary>The rule for those who can combine rows where they are computed; null where it has no such form.</summary>
    internal JoinedRule? Joined { get; }

    /// <summary>The rule, where it looks at the whole prompt.</summary>
    internal IPromptCombiner? PromptRule => (Leader?.Rule ?? Combiner) as IPromptCombiner;

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
    internal TokenClass ClassOf(int id) => id >= 0 && id < Options.Classes.Count ? Options.Classes[id] : TokenClass.None;

    /// <summary>The combined law of a position.</summary>
    /// <param name="step">The position.</param>
    /// <param name="rows">Per run, rows of at least the ensemble's ids.</param>
    /// <param name="row">Which of them.</param>
    /// <param name="members">Room for one row per place.</param>
    /// <param name="logProbs">Receives the law.</param>
    internal void Combine(in StepContext step, float[][] rows, int row, ReadOnlyMemory<float>[] members, Span<float> logProbs)
    {
        for (var k = 0; k < members.Length; k++)
            if (RunOf[k] >= 0)
                members[k] = rows[RunOf[k]].AsMemory(row * Runs[RunOf[k]].VocabularySize, VocabularySize);
        Combiner.Combine(step, members, logProbs);
    }

    /// <summary>Fails where an id is outside the combined vocabulary.</summary>
    internal void CheckIds(ReadOnlySpan<int> ids)
    {
        foreach (var id in ids)
            if (id < 0 || id >= VocabularySize)
                throw new InputException($"{Name}: token id {id} is outside the vocabulary of {VocabularySize}");
    }

    /// <summary>What every run gives to the tokens of requests.</summary>
    internal IReadOnlyList<float[]>[] RunLogProbs(IReadOnlyList<ScoreRequest> requests)
    {
        var results = new IReadOnlyList<float[]>[Runs.Length];
        ForRuns(run => results[run] = Runs[run].LogProbs(requests));
        return results;
    }

    /// <summary>Does something for every run; those of one owner come one after the other.</summary>
    internal void ForRuns(Action<int> work) => ForGroups(group => Array.ForEach(Groups[group].Runs, work));

    /// <summary>Does something for every group of runs.</summary>
    internal void ForGroups(Action<int> work)
    {
        foreach (var wave in _waves)
        {
            if (wave.Length == 1)
                work(wave[0]);
            else
                AtOnce(wave, work);
        }
    }

    private static void AtOnce(int[] wave, Action<int> work)
    {
        try
        {
            Parallel.ForEach(wave, new ParallelOptions { MaxDegreeOfParallelism = wave.Length }, work);
        }
        catch (AggregateException e)
        {
            ExceptionDispatchInfo.Throw(e.InnerExceptions[0]);
        }
    }

    /// <summary>Groups by the set of members to which they belong.</summary>
    private int[][] Waves() => [.. Enumerable.Range(0, Groups.Count)
        .GroupBy(group => Options.AtOnce.ToList().FindIndex(set => set.Contains(Groups[group].Owner) || Groups[group].Runs.Any(run => set.Contains(Runs[run]))) is >= 0 and var set ? set : -1 - group)
        .Select(wave => wave.ToArray())];

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
        var parts = new ILogitRows[Runs.Length];
        try
        {
            ForRuns(run => parts[run] = Runs[run].Rows(requests));
            return new EnsembleRows(this, parts, StepTable.Of(this, requests));
        }
        catch
        {
            foreach (var part in parts)
                part?.Dispose();
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
