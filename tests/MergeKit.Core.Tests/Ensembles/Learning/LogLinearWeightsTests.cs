using MergeKit.Core.Ensembles.Learning;

namespace MergeKit.Core.Tests.Ensembles.Learning;

/// <summary>Log-linear exponents: derivatives against differences, Newton against plain ascent, L-BFGS against Newton.</summary>
public sealed class LogLinearWeightsTests
{
    private static (IAnswerLogits[] Members, int[] Gold) Problem(int seed, int positions, int members, int vocabulary)
    {
        var random = new SplitMix((ulong)seed);
        int[] gold = [.. Enumerable.Range(0, positions).Select(_ => (int)(random.NextDouble() * vocabulary))];
        return ([.. Enumerable.Range(0, members).Select(k => new ArrayLogits([.. gold.Select(id => Enumerable.Range(0, vocabulary)
            .Select(v => (4 * random.NextDouble()) + (v == id ? 1.5 * (k % 3 == 2 ? -1 : 1) : 0)).ToArray())]))], gold);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(0.3)]
    public void Derivatives_agree_with_differences(double l2)
    {
        var (members, gold) = Problem(3, 20, 3, 9);
        var objective = new LogLinearObjective(members, gold, l2);
        double[] point = [0.4, 0.7, -0.2];
        var at = objective.Evaluate(point);
        const double Step = 1e-5;
        for (var k = 0; k < 3; k++)
        {
            var (up, down) = (objective.Evaluate(Moved(point, k, Step)), objective.Evaluate(Moved(point, k, -Step)));
            Assert.Equal((up.Value - down.Value) / (2 * Step), at.Gradient[k], 7);
            for (var j = 0; j < 3; j++)
                Assert.Equal((up.Gradient[j] - down.Gradient[j]) / (2 * Step), at.Hessian![j, k], 6);
        }
    }

    [Theory]
    [InlineData(1, 2, 0.0)]
    [InlineData(2, 3, 0.05)]
    public void Newton_ends_where_small_steps_uphill_end(int seed, int count, double l2)
    {
        var (members, gold) = Problem(seed, 60, count, 7);
        var objective = new LogLinearObjective(members, gold, l2);
        var fit = LogLinearWeights.Fit(objective);
        Assert.True(fit.Converged);
        Assert.InRange(fit.Iterations, 1, 12);
        double[] point = [.. Enumerable.Repeat(1.0 / count, count)];
        for (var i = 0; i < 3000; i++)
            point = [.. point.Zip(objective.Evaluate(point, hessian: false).Gradient, (x, g) => x + (0.5 * g))];
        Assert.Equal(fit.Lambdas, point, (a, b) => Math.Abs(a - b) < 1e-5);
    }

    [Fact]
    public void Negative_evidence_gets_a_negative_exponent()
    {
        var (members, gold) = Problem(4, 400, 3, 12);
        var fit = LogLinearWeights.Fit(new LogLinearObjective(members, gold));
        Assert.True(fit.Lambdas[0] > 0 && fit.Lambdas[1] > 0 && fit.Lambdas[2] < 0);
    }

    [Fact]
    public void Beyond_eight_members_the_limited_memory_method_reaches_the_same_kind_of_point()
    {
        var (members, gold) = Problem(5, 150, 10, 6);
        var fit = LogLinearWeights.Fit(new LogLinearObjective(members, gold, 0.01));
        Assert.InRange(fit.At.Gradient.Max(Math.Abs), 0, 1e-6);
    }

    [Fact]
    public void A_strong_ridge_holds_the_prior()
    {
        var (members, gold) = Problem(6, 30, 2, 5);
        Assert.Equal([0.5, 0.5], LogLinearWeights.Fit(new LogLinearObjective(members, gold, 1e6)).Lambdas, (a, b) => Math.Abs(a - b) < 1e-4);
        Assert.Equal([0.2, 0.9], LogLinearWeights.Fit(new LogLinearObjective(members, gold, 1e6, [0.2, 0.9])).Lambdas, (a, b) => Math.Abs(a - b) < 1e-4);
    }

    [Fact]
    public void Chosen_positions_count_alone()
    {
        var (members, gold) = Problem(7, 40, 2, 5);
        var half = new LogLinearObjective([.. members.Select(member => Half((ArrayLogits)member))], gold[..20]);
        var all = new LogLinearObjective(members, gold);
        var chosen = Enumerable.Range(0, 40).Select(t => t < 20).ToArray();
        Assert.Equal(LogLinearWeights.Fit(half).Lambdas, LogLinearWeights.Fit(all, chosen).Lambdas, (a, b) => Math.Abs(a - b) < 1e-7);

        static ArrayLogits Half(ArrayLogits source)
        {
            var rows = new double[20 * source.VocabularySize];
            source.Read(0, 20, rows);
            return new ArrayLogits([.. rows.Chunk(source.VocabularySize)]);
        }
    }

    [Fact]
    public void Position_scores_add_up_to_the_gradient_and_errors_shrink_with_examples()
    {
        var (members, gold) = Problem(8, 200, 2, 6);
        var objective = new LogLinearObjective(members, gold);
        var fit = LogLinearWeights.Fit(objective);
        var (logProbs, scores) = objective.PerPosition(fit.Lambdas);
        Assert.Equal(-fit.At.Nll, logProbs.Average(), 10);
        Assert.Equal(fit.At.Gradient[0], scores.Average(row => row[0]), 10);
        var many = WeightErrors.LogLinear(fit.At, scores, [.. Enumerable.Range(0, 200)]);
        Assert.All(many, error => Assert.InRange(error!.Value, 0.01, 0.3));
        Assert.All(WeightErrors.LogLinear(fit.At, scores, new int[200]), Assert.Null);
    }

    [Fact]
    public void An_impossible_gold_token_is_an_error()
    {
        var member = new ArrayLogits([[0, double.NegativeInfinity], [1, 0]]);
        var objective = new LogLinearObjective([member, new ArrayLogits([[0, 0], [0, 1]])], [1, 0]);
        Assert.Equal(LearningError.ZeroProbability, Assert.Throws<LearningException>(() => objective.Evaluate([0.5, 0.5])).Error);
        Assert.Equal(LearningError.InvalidInput, Assert.Throws<LearningException>(() => new LogLinearObjective([member], [2, 0])).Error);
        Assert.Equal(LearningError.InvalidInput, Assert.Throws<LearningException>(() => new LogLinearObjective([member], [0])).Error);
    }

    private static double[] Moved(double[] point, int k, double by) => [.. point.Select((x, i) => i == k ? x + by : x)];
}
