using MergeKit.Core.Ensembles.Learning;

namespace MergeKit.Core.Tests.Ensembles.Learning;

/// <summary>The gate and the greedy search: properties beside the golden values.</summary>
public sealed class GateTests
{
    /// <summary>The sign of the first feature says which of two members knows the token; the second feature says nothing.</summary>
    private static (double[][] Features, GoldLogProbs Scores) Informative(int positions)
    {
        var random = new SplitMix(17);
        double[][] features = [.. Enumerable.Range(0, positions).Select(_ => new[] { (2 * random.NextDouble()) - 1, random.NextDouble() })];
        return (features, GoldLogProbs.Of([.. features.Select(row => (IReadOnlyList<double>)(row[0] > 0 ? [-0.2, -3.0] : [-3.0, -0.2]))]));
    }

    [Fact]
    public void A_gate_learns_who_knows_what()
    {
        var (features, scores) = Informative(300);
        var still = LinearWeights.Fit(scores);
        var gate = Gate.Fit(features, scores, 0.001, still.Weights);
        var at = gate.Evaluate(features, scores);
        Assert.True(at.MeanLogLikelihood > still.MeanLogLikelihood + 0.3);
        Assert.True(gate.Mix([0.8, 0.5])[0] > 0.9 && gate.Mix([-0.8, 0.5])[0] < 0.1);
    }

    [Fact]
    public void A_strong_ridge_leaves_the_static_optimum()
    {
        var (features, scores) = Informative(100);
        var still = LinearWeights.Fit(scores);
        var gate = Gate.Fit(features, scores, 1e6, still.Weights);
        Assert.Equal(still.MeanLogLikelihood, gate.Evaluate(features, scores).MeanLogLikelihood, 4);
    }

    [Fact]
    public void The_greedy_search_never_ends_worse_than_its_best_member()
    {
        var random = new SplitMix(23);
        int[] gold = [.. Enumerable.Range(0, 30).Select(_ => (int)(random.NextDouble() * 5))];
        IAnswerLogits[] members = [.. Enumerable.Range(0, 4).Select(_ => new ArrayLogits([.. gold.Select(id => Enumerable.Range(0, 5).Select(v => random.NextDouble() + (v == id ? 1 : 0)).ToArray())]))];
        var result = PackLlmWeights.Greedy(members, gold, 10);
        Assert.True(result.Steps[^1].Nll <= result.MemberNll.Min() + 1e-12);
        Assert.Equal(1, result.Weights.Sum(), 12);
    }
}
