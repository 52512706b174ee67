using MergeKit.Core.Recipes;
using MergeKit.Core.Recipes.Searching;
using MergeKit.Core.Search.Spaces;
using MergeKit.Core.Search.Trials;

namespace MergeKit.Core.Search.Strategies;

/// <summary>Strategies that decide which models take part, or by one scale. They score every candidate on all items.</summary>
internal sealed class WholeModelStrategies(SearchRecipe search, SearchSession session)
{
    private readonly RecipeWriter _writer = new(search);

    /// <summary>The mean of all.</summary>
    public Trial Uniform() => Mean(search.Models, Trial.Candidate);

    /// <summary>Greedy soup; its trace beside the winner.</summary>
    public (GreedySoup Trace, Trial Winner) Greedy()
    {
        var byName = search.Models.ToDictionary(model => model.ToString());
        var trace = GreedySoup.Cook(
            [.. byName.Keys], names => Mean([.. names.Select(name => byName[name])], Trial.Candidate).Objective,
            search.AcceptNonWorse ? SoupAcceptance.NonWorse : SoupAcceptance.Strict, ScoreDirection.Minimize);
        return (trace, Mean([.. trace.Ingredients.Select(name => byName[name])], Trial.Candidate));
    }

    /// <summary>The scale that is best on the tuning sets while the control sets keep their score.</summary>
    /// <param name="controlWeights">Per set of the session its weight as a control; 0 for tuning sets.</param>
    public (ScaleChoice Choice, Trial Winner) Scale(IReadOnlyList<double> controlWeights)
    {
        var space = new ScaleSpace(search);
        var trials = search.Scales.Select(scale => session.Score(FormattableString.Invariant($"scale {scale}"), [scale], space.Write([scale]), race: false)).ToList();
        var choice = ScaleSearch.Choose(
            search.Scales, [.. trials.Select(trial => trial.Objective)], [.. trials.Select(trial => Control(trial, controlWeights))], search.Keep,
            search.Task == ScaleTask.Negation ? ScoreDirection.Maximize : ScoreDirection.Minimize);
        return (choice, trials[search.Scales.Index().First(scale => scale.Item == choice.Chosen).Index]);
    }

    /// <summary>The mean of some models.</summary>
    public Trial Mean(IReadOnlyList<ModelReference> models, string role, string? label = null) =>
        session.Score(label ?? (models.Count == 1 ? models[0].ToString() : $"mean of {string.Join(", ", models)}"), [], _writer.Mean(models, [.. models.Select(_ => 1.0)]), race: false, role);

    /// <summary>base + scale sum tau, beside the candidates.</summary>
    public Trial Arithmetic(ModelReference origin, IReadOnlyList<ModelReference> models, double scale, string role, string label) =>
        session.Score(label, [], _writer.Arithmetic(origin, models, [.. models.Select(_ => scale)]), race: false, role);

    /// <summary>The means between one model and the mean of several.</summary>
    public Trial Between(IReadOnlyList<ModelReference> models, double share) => session.Score(
        FormattableString.Invariant($"line {share}"), [share], _writer.Mean(models, [.. models.Select((_, i) => (share / models.Count) + (i == 0 ? 1 - share : 0))]), race: false, "line");

    /// <summary>The control sets' weighted mean score, the higher the better: accuracies as they are, losses as 1 / loss. 1 where there is none.</summary>
    private double Control(Trial trial, IReadOnlyList<double> weights)
    {
        var total = weights.Sum();
        return total == 0 ? 1 : !double.IsFinite(trial.Objective) ? 0 : session.Sets.Select((set, s) =>
            weights[s] == 0 ? 0 : weights[s] / total * (set.HigherIsBetter ? 1 - trial.Scores.Losses[s] : 1 / trial.Scores.Losses[s])).Sum();
    }
}
