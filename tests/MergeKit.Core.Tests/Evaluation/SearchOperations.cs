using System.Text.Json.Nodes;
using MergeKit.Core.Search;

namespace MergeKit.Core.Tests.Evaluation;

/// <summary>Soups, averages of checkpoints, task vectors.</summary>
internal sealed class SearchOperations : IGoldenOperations
{
    public IEnumerable<GoldenOperation> Operations =>
    [
        new("soup.greedy", Soup),
        new("average.checkpoints", Average),
        new("task.arithmetic", input =>
        {
            double[] Of(string name) => input[name].Numbers();
            var (origin, scale) = (Of("base"), input["scale"].Number());
            return new
            {
                negation = TaskVectors.Negate(origin, Of("a"), scale),
                addition = TaskVectors.Add(origin, scale, Of("a"), Of("b")),
                analogy = TaskVectors.Analogy(origin, Of("a"), Of("b"), Of("c"), scale),
            };
        }),
        new("task.scale_search", input =>
        {
            var choice = ScaleSearch.Choose(
                input["scales"].Numbers(), input["target"].Numbers(), input["control"].Numbers(), input["keep"].Number(), Direction(input));
            return new { threshold = choice.Threshold, allowed = choice.Allowed, chosen = choice.Chosen };
        }),
    ];

    private static ScoreDirection Direction(JsonObject input) => (string)input["direction"]! == "min" ? ScoreDirection.Minimize : ScoreDirection.Maximize;

    private static object Soup(JsonObject input)
    {
        var (names, parameters) = (input["names"].Texts(), input["parameters"]!.AsArray().Select(row => row.Numbers()).ToArray());
        var soup = GreedySoup.Cook(
            names, members => input["scores"]![string.Join('+', members.Order(StringComparer.Ordinal))].Number(),
            (string)input["accept"]! == "strict" ? SoupAcceptance.Strict : SoupAcceptance.NonWorse, Direction(input));
        var members = soup.Ingredients.Select(name => (IReadOnlyList<double>)parameters[Array.IndexOf(names, name)]).ToArray();
        return new
        {
            order = soup.Order,
            trace = soup.Steps.Select(step => new { candidate = step.Candidate, score = step.Score, accepted = step.Accepted }),
            ingredients = soup.Ingredients,
            score = soup.Score,
            parameters = CheckpointWeights.Combine(members, CheckpointWeights.Uniform(members.Length)),
        };
    }

    private static object Average(JsonObject input)
    {
        var checkpoints = input["checkpoints"]!.AsArray().Select(row => (IReadOnlyList<double>)row.Numbers()).ToArray();
        var (n, decay) = (checkpoints.Length, input["ema_decay"].Number());
        object Of(double[] weights) => new { parameters = CheckpointWeights.Combine(checkpoints, weights), weights };
        return new
        {
            swa = Of(CheckpointWeights.Uniform(n)),
            ema = Of(CheckpointWeights.Exponential(n, decay)),
            ema_debiased = Of(CheckpointWeights.ExponentialDebiased(n, decay)),
            lawa = Of(CheckpointWeights.Latest(n, (int)input["lawa_k"]!)),
        };
    }
}
