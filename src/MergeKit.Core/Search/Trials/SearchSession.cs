using MergeKit.Core.Diagnostics;
using MergeKit.Core.Search.Tuning;

namespace MergeKit.Core.Search.Trials;

/// <summary>Scores what a strategy asks for: takes it from the journal if it is there, never scores a recipe twice, and keeps the best.</summary>
internal sealed class SearchSession(
    ICandidateModels models, Tuner tuner, TrialJournal journal, int limit, bool racing, Action<Trial>? report, CancellationToken cancellation)
{
    private readonly Dictionary<string, Trial> _byRecipe = new(StringComparer.Ordinal);
    private readonly List<Trial> _trials = [];

    /// <summary>Everything scored, in order.</summary>
    public IReadOnlyList<Trial> Trials => _trials;

    /// <summary>The best candidate that was scored on all items; the earlier one on ties.</summary>
    public Trial? Best { get; private set; }

    /// <summary>The race against the best; null as long as there is none.</summary>
    public IRace? AgainstBest => Best is { } best ? new BestRace(best.Scores) : null;

    /// <summary>Candidates that may still be scored.</summary>
    public int Left => limit - _trials.Count(trial => trial.Role == Trial.Candidate);

    /// <summary>Candidates that were given up early.</summary>
    public int GivenUp => _trials.Count(trial => trial is { Role: Trial.Candidate, Failure: null, Scores.Complete: false });

    /// <summary>The tuning sets.</summary>
    public IReadOnlyList<TuningSet> Sets => tuner.Sets;

    /// <summary>A trial of a recipe.</summary>
    /// <param name="label">What it is.</param>
    /// <param name="values">The values of the variables.</param>
    /// <param name="yaml">The recipe.</param>
    /// <param name="race">The rule by which it may be given up; null: it is scored on all items.</param>
    /// <param name="role">What it is scored for.</param>
    public Trial Score(string label, IReadOnlyList<double> values, string yaml, IRace? race = null, string role = Trial.Candidate)
    {
        if (_byRecipe.TryGetValue(yaml, out var same) && (race is not null || same.Scores.Complete || same.Failure is not null))
            return same.Role == role ? same : Known(same with { Index = _trials.Count, Role = role, Label = label, Values = [.. values] });
        cancellation.ThrowIfCancellationRequested();
        var trial = journal.Next(role, yaml) ?? Measure(label, values, yaml, racing ? race : null, role);
        _trials.Add(trial);
        _byRecipe[yaml] = trial;
        if (trial.CanWin && !(Best?.Objective <= trial.Objective))
            Best = trial;
        report?.Invoke(trial);
        return trial;
    }

    /// <summary>A recipe that was scored for something else.</summary>
    private Trial Known(Trial trial)
    {
        _trials.Add(trial);
        return trial;
    }

    private Trial Measure(string label, IReadOnlyList<double> values, string yaml, IRace? race, string role)
    {
        var (scores, failure) = (new TuningScores(double.PositiveInfinity, [.. tuner.Sets.Select(_ => double.PositiveInfinity)], [.. tuner.Sets.Select(_ => Array.Empty<double>())], Complete: false), (string?)null);
        try
        {
            scores = tuner.Score(models.Build(label, yaml), race, cancellation);
            if (!double.IsFinite(scores.Objective))
                failure = "its numbers are not finite";
        }
        catch (InputException e)
        {
            failure = e.Problems.First(problem => problem.Severity == Severity.Error).Message;
        }

        var trial = new Trial(_trials.Count, role, label, [.. values], yaml, scores, failure);
        journal.Add(trial);
        return trial;
    }
}
