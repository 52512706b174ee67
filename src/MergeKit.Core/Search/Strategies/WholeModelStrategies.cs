using MergeKit.Core.Recipes;
using MergeKit.Core.Recipes.Searching;
using MergeKit.Core.Search.Spaces;
using MergeKit.Core.Search.Trials;
using MergeKit.Core.Search.Tuning;

namespace MergeKit.Core.Search.Strategies;

/// <summary>Strategies that decide which models take part, or by one scale.</summary>
internal sealed class WholeModelStrategies(SearchRecipe search, SearchSession session)
{
    private readonly RecipeWriter _writer = new(search);

    /// <summary>The mean of all.</summary>
    public Trial Uniform() => Mean(search.Models, Trial.Candidate);

    /// <summary>Greedy soup; its trace beside the winner. Members are scored on all items, since their order counts; a soup is raced against the one that it would replace,
    /// and takes that place only by its score on all items.</summary>
    public (GreedySoup Trace, Trial Winner) Greedy()
    {
        var byName = search.Models.ToDictionary(model => model.ToString());
        Trial Soup(IReadOnlyList<string> names) => Mean([.. names.Select(name => byName[name])], Trial.Candidate, race: names.Count > 1 && Soup([.. names.SkipLast(1)]) is { CanWin: true } before ? new BestRace(before.Scores) : null);
        var trace = GreedySoup.Cook(
            [.. byName.Keys], names => Soup(names).Objective, search.AcceptNonWorse ? SoupAcceptance.NonWorse : SoupAcceptance.Strict, ScoreDirection.Minimize);
        return (trace, Soup(trace.Ingredients));
    }

    /// <summary>The scale that is best on the tuning sets while the control sets keep their score.</summary>
    /// <param name="controlWeights">Per set of the session its weight as a control; 0 for tuning sets.</param>
    public (ScaleChoice Choice, Trial Winner) Scale(IReadOnlyList<double> controlWeights)
    {
        var (space, direction) = (new ScaleSpace(search), search.Task == ScaleTask.Negation ? ScoreDirection.Maximize : ScoreDirection.Minimize);
        double[] scales = [0, .. search.Scales.Where(scale => scale != 0)];
        var (trials, best) = (new List<Trial>(), (Trial?)null);
        var threshold = double.NegativeInfinity;
        bool Keeps(IReadOnlyList<double> losses) => Control(losses, controlWeights) >= threshold;
        foreach (var scale in scales)
        {
            IRace? race = trials is not [{ CanWin: true }, ..] ? null : new AnyRace([new ConditionRace(trials[0].Scores, Keeps), .. best is null ? Array.Empty<IRace>() : [new BestRace(best.Scores, direction)]]);
            var trial = session.Score(FormattableString.Invariant($"scale {scale}"), [scale], space.Write([scale]), race);
            if (trials.Count == 0)
                threshold = search.Keep * Control(trial.Scores.Losses, controlWeights) * (1 - 1e-12);
            trials.Add(trial);
            if (trial.CanWin && Keeps(trial.Scores.Losses) && (best is null || (direction == ScoreDirection.Minimize ? trial.Objective < best.Objective : trial.Objective > best.Objective)))
                best = trial;
        }

        // Those given up are out: their scores are estimates.
        var judged = trials.Where(trial => trial.Scores.Complete || trial.Failure is not null).OrderBy(trial => trial.Values[0]).ToList();
        var choice = ScaleSearch.Choose(
            [.. judged.Select(trial => trial.Values[0])], [.. judged.Select(trial => trial.Objective)],
            [.. judged.Select(trial => double.IsFinite(trial.Objective) ? Control(trial.Scores.Losses, controlWeights) : 0)], search.Keep, direction);
        return (choice, judged.Find(trial => trial.Values[0] == choice.Chosen)!);
    }

    /// <summary>The mean of some models.</summary>
    public Trial Mean(IReadOnlyList<ModelReference> models, string role, string? label = null, IRace? race = null) =>
        session.Score(label ?? (models.Count == 1 ? models[0].ToString() : $"mean of {string.Join(", ", models)}"), [], _writer.Mean(models, [.. models.Select(_ => 1.0)]), race, role);

    /// <summary>base + scale sum tau, beside the candidates.</summary>
    public Trial Arithmetic(ModelReference origin, IReadOnlyList<ModelReference> models, double scale, string role, string label) =>
        session.Score(label, [], _writer.Arithmetic(origin, models, [.. models.Select(_ => scale)]), role: role);

    /// <summary>The means between one model and the mean of several.</summary>
    public Trial Between(IReadOnlyList<ModelReference> models, double share) => session.Score(
        FormattableString.Invariant($"line {share}"), [share], _writer.Mean(models, [.. models.Select((_, i) => (share / models.Count) + (i == 0 ? 1 - share : 0))]), role: "line");

    /// <summary>The control sets' weighted mean score, the higher the better: accuracies as they are, losses as 1 / loss. 1 where there is none.</summary>
    private double Control(IReadOnlyList<double> losses, IReadOnlyList<double> weights)
    {
        var total = weights.Sum();
        return total == 0 ? 1 : session.Sets.Select((set, s) => weights[s] == 0 ? 0 : weights[s] / total * (set.HigherIsBetter ? 1 - losses[s] : 1 / losses[s])).Sum();
    }
}
