using MergeKit.Core.Ensembles.Learning;

namespace MergeKit.Core.Tests.Ensembles.Learning;

/// <summary>Linear weights: what EM promises, on random problems.</summary>
public sealed class LinearWeightsTests
{
    public static TheoryData<int, int, int> Problems => new()
    {
        { 1, 40, 2 }, { 2, 200, 3 }, { 3, 500, 5 }, { 4, 60, 8 }, { 5, 30, 12 }, { 6, 3, 4 }, { 7, 1, 3 },
    };

    /// <summary>Positions of members that are good at different things; the last is bad at everything when <paramref name="useless"/>.</summary>
    private static GoldLogProbs Problem(int seed, int positions, int members, bool useless = false)
    {
        var random = new SplitMix((ulong)seed);
        return GoldLogProbs.Of([.. Enumerable.Range(0, positions).Select(t => (IReadOnlyList<double>)[.. Enumerable.Range(0, members).Select(k =>
            Math.Log(0.001 + random.NextDouble()) - (useless && k == members - 1 ? 6 : (t + k) % members == 0 ? 0 : 1))])]);
    }

    [Theory]
    [MemberData(nameof(Problems))]
    public void EM_never_falls_and_its_bound_holds(int seed, int positions, int members)
    {
        var scores = Problem(seed, positions, members);
        var trace = LinearWeights.Trace(scores, [.. Enumerable.Repeat(1.0 / members, members)], 60);
        for (var i = 1; i < trace.MeanLogLikelihood.Count; i++)
            Assert.True(trace.MeanLogLikelihood[i] >= trace.MeanLogLikelihood[i - 1] - 1e-14);
        var best = LinearWeights.Fit(scores).MeanLogLikelihood;
        Assert.InRange(best - trace.MeanLogLikelihood[^1], -1e-12, trace.UpperBoundGap + 1e-12);
    }

    [Theory]
    [MemberData(nameof(Problems))]
    public void The_optimum_satisfies_its_conditions(int seed, int positions, int members)
    {
        var fit = LinearWeights.Fit(Problem(seed, positions, members));
        Assert.Equal(1, fit.Weights.Sum(), 12);
        Assert.InRange(fit.Gap, -1e-12, 1e-9);
        foreach (var (weight, ratio) in fit.Weights.Zip(fit.Kkt))
        {
            Assert.InRange(ratio, 0, 1 + 1e-8);
            if (weight > 1e-6)
                Assert.InRange(ratio, 1 - 1e-6, 1 + 1e-8);
        }
    }

    [Fact]
    public void A_useless_member_gets_nothing_and_plain_EM_goes_to_the_same_place()
    {
        var scores = Problem(11, 300, 4, useless: true);
        var fit = LinearWeights.Fit(scores);
        Assert.Equal(0, fit.Weights[3], 9);
        var trace = LinearWeights.Trace(scores, [0.25, 0.25, 0.25, 0.25], 5000);
        Assert.Equal(fit.Weights, trace.Trajectory[^1], (a, b) => Math.Abs(a - b) < 1e-5);
    }

    [Fact]
    public void Copies_of_a_member_and_a_single_member_are_no_trouble()
    {
        var scores = Problem(5, 50, 2);
        var twice = scores.Select(members: [0, 1, 1]);
        var (one, two) = (LinearWeights.Fit(scores), LinearWeights.Fit(twice));
        Assert.Equal(one.MeanLogLikelihood, two.MeanLogLikelihood, 9);
        Assert.Equal(one.Weights[0], two.Weights[0], 5);
        Assert.Equal([1.0], LinearWeights.Fit(scores.Select(members: [1])).Weights);
    }

    [Fact]
    public void Very_small_probabilities_do_not_underflow()
    {
        var fit = LinearWeights.Fit(GoldLogProbs.Of([[-900.0, -901], [-1200, -1199], [-800, -803]]));
        Assert.InRange(fit.MeanLogLikelihood, -968, -966);
        Assert.True(double.IsFinite(fit.Weights[0]));
    }

    [Fact]
    public void What_cannot_be_learned_from_is_named()
    {
        Assert.Equal(LearningError.ZeroProbability, Assert.Throws<LearningException>(() => GoldLogProbs.Of([[-1.0], [double.NegativeInfinity]])).Error);
        Assert.Equal(LearningError.InvalidInput, Assert.Throws<LearningException>(() => GoldLogProbs.Of([[-1.0, double.NaN]])).Error);
        Assert.Equal(LearningError.InvalidInput, Assert.Throws<LearningException>(() => GoldLogProbs.Of([])).Error);
        Assert.Contains("position 2 has 1", Assert.Throws<LearningException>(() => GoldLogProbs.Of([[-1.0, -2], [-1.0]])).Message, StringComparison.Ordinal);
        Assert.Equal(LearningError.InvalidInput, Assert.Throws<LearningException>(() => LinearWeights.Trace(GoldLogProbs.Of([[-1.0, -2]]), [0.5, 0.2], 3)).Error);
        Assert.Equal(
            LearningError.ZeroProbability,
            Assert.Throws<LearningException>(() => LinearWeights.Trace(GoldLogProbs.Of([[-1.0, double.NegativeInfinity]]), [0, 1], 3)).Error);
    }

    [Fact]
    public void Standard_errors_agree_with_the_spread_over_new_data()
    {
        // Two members, 120 positions of their own cluster: the spread of the optimum over 300 data sets against the mean standard error.
        var fits = Enumerable.Range(0, 300).Select(seed => Problem(1000 + seed, 120, 2)).Select(scores => (scores, weight: LinearWeights.Fit(scores).Weights)).ToArray();
        var clusters = Enumerable.Range(0, 120).ToArray();
        var errors = fits.Select(fit => WeightErrors.Linear(fit.scores, fit.weight, clusters)[0]).OfType<double>().ToArray();
        var mean = fits.Average(fit => fit.weight[0]);
        var spread = Math.Sqrt(fits.Average(fit => Math.Pow(fit.weight[0] - mean, 2)));
        Assert.InRange(errors.Average() / spread, 0.8, 1.25);
        Assert.Equal(errors[0], WeightErrors.Linear(fits[0].scores, fits[0].weight, clusters)[1]!.Value, 12);
    }

    [Fact]
    public void Doubling_every_position_within_its_example_leaves_the_error_alone()
    {
        var scores = Problem(3, 80, 3);
        var twice = scores.Select(Enumerable.Range(0, 160).Select(t => t / 2));
        var fit = LinearWeights.Fit(scores);
        var one = WeightErrors.Linear(scores, fit.Weights, [.. Enumerable.Range(0, 80)]);
        var two = WeightErrors.Linear(twice, fit.Weights, [.. Enumerable.Range(0, 160).Select(t => t / 2)]);
        Assert.Equal(one, two, (a, b) => Math.Abs((a ?? 0) - (b ?? 0)) < 1e-9);
        Assert.All(WeightErrors.Linear(scores, [1, 0, 0], [.. Enumerable.Range(0, 80)]), Assert.Null);
    }
}
