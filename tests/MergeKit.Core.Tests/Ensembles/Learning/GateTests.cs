using MergeKit.Core.Ensembles.Learning;

namespace MergeKit.Core.Tests.Ensembles.Learning;

/// <summary>The gate, posterior weights and PackLLM's weights: properties beside the golden values.</summary>
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
    public void A_posterior_without_share_is_the_Bayes_mixture_of_sequences()
    {
        double[][] rows = [[-1, -2], [-0.5, -4], [-3, -0.1]];
        var posterior = new PosteriorWeights([0.3, 0.7]);
        var total = rows.Sum(row => posterior.Observe(row));
        Assert.Equal(Math.Log((0.3 * Math.Exp(-4.5)) + (0.7 * Math.Exp(-6.1))), total, 12);
        var shared = new PosteriorWeights([1, 1], share: 1);
        shared.Observe([-1, -50]);
        Assert.Equal([0.5, 0.5], shared.Current);
        Assert.Equal(LearningError.ZeroProbability, Assert.Throws<LearningException>(() => new PosteriorWeights([1, 0]).Observe([double.NegativeInfinity, -1])).Error);
        Assert.Equal(LearningError.InvalidInput, Assert.Throws<LearningException>(() => new PosteriorWeights([-1, 2])).Error);
    }

    [Fact]
    public void Similarity_weights_sharpen_as_tau_falls()
    {
        var (soft, sharp) = (PackLlmWeights.Similarity([1, 2], 10), PackLlmWeights.Similarity([1, 2], 0.1));
        Assert.InRange(soft[0], 0.5, 0.53);
        Assert.InRange(sharp[0], 0.999, 1);
        Assert.Equal(LearningError.InvalidInput, Assert.Throws<LearningException>(() => PackLlmWeights.Similarity([1, 2], 0)).Error);
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
