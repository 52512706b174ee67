using System.Globalization;
using System.Numerics;
using MergeKit.Core.Evaluation;
using MergeKit.Core.Evaluation.Requests;
using MergeKit.Core.Evaluation.Statistics;

namespace MergeKit.Core.Tests.Evaluation;

/// <summary>Statistics against closed forms, and CPython's generator against values that CPython gave.</summary>
public sealed class StatisticsTests
{
    [Theory]
    [InlineData("0", 3626764237, "1046999458949156007870", 0.420571580830845, new[] { 864, 394, 776, 911, 430, 41, 265, 988 }, new[] { 27, 12, 24, 13, 1, 8, 16 }, new[] { 5, 5, 2, 1, 3, 2 })]
    [InlineData("1180591620717411303429", 2004888747, "746629573261074141371", 0.3684083919879382, new[] { 478, 399, 486, 640, 377, 357, 345, 11 }, new[] { 14, 12, 15, 20, 11, 25, 10 }, new[] { 3, 3, 2, 2, 4, 2 })]
    [InlineData("-3", 1022050301, "157613209853713928338", 0.36995516654807925, new[] { 243, 606, 557, 133, 378, 937, 618, 485 }, new[] { 7, 18, 17, 4, 11, 19, 15 }, new[] { 1, 3, 2, 4, 4, 0 })]
    public void Mersenne_Twister_draws_as_CPython(string seed, long bits32, string bits70, double next, int[] of1000, int[] of30, int[] choices)
    {
        MersenneTwister Fresh() => new(BigInteger.Parse(seed, CultureInfo.InvariantCulture));
        var random = Fresh();
        Assert.Equal(bits32, (long)random.NextBits(32));
        Assert.Equal(bits70, random.NextBits(70).ToString(CultureInfo.InvariantCulture));
        Assert.Equal(next, random.NextDouble(), 15);
        Assert.Equal(of1000, Fresh().Sample(1000, 8));
        Assert.Equal(of30, Fresh().Sample(30, 7));
        Assert.Equal(choices, Fresh().Choices(7, 6));
        Assert.Throws<EvaluationException>(() => Fresh().Sample(3, 4));
    }

    [Fact]
    public void Few_shot_draws_leave_the_document_out()
    {
        var sampler = new FewShotSampler(1234, 20, 3, excludeSelf: true);
        int[][] expected = [[14, 3, 2], [18, 2, 3], [11, 7, 0], [0, 11, 15], [2, 5, 3]];
        Assert.Equal(expected, Enumerable.Range(0, 5).Select(sampler.Next));
    }

    [Theory]
    [InlineData(0, 0, 1.0, 1.0)]
    [InlineData(5, 0, 0.0625, 0.03125)]
    [InlineData(4, 4, 1.0, 1.0)]
    [InlineData(6, 2, 0.2890625, 0.1796875)]
    public void McNemar_small_counts(int a, int b, double exact, double mid)
    {
        var test = McNemarTest.Of(a, b);
        Assert.Equal(exact, test.PExact, 12);
        Assert.Equal(mid, test.PMid, 12);
        Assert.Equal(exact, McNemarTest.Of(b, a).PExact, 12);
    }

    [Theory]
    [InlineData(0.0, 10)]
    [InlineData(1.0, 10)]
    [InlineData(0.37, 100)]
    public void Wilson_ends_solve_their_equation(double p, int n)
    {
        var interval = Descriptive.Wilson(p, n);
        Assert.InRange(interval.Low, 0, p);
        Assert.InRange(interval.High, p, 1);
        foreach (var end in new[] { interval.Low, interval.High }.Where(end => end is > 1e-12 and < 1 - 1e-12))
            Assert.Equal(Math.Abs(p - end), Descriptive.Z95 * Math.Sqrt(end * (1 - end) / n), 12);
    }

    [Theory]
    [InlineData(1, 1.0, 0.5)]
    [InlineData(1, 2.414213562373095, 0.25)]
    [InlineData(2, 1.4142135623730951, 0.29289321881345254)]
    public void Student_tails_have_closed_forms(int degrees, double t, double p) => Assert.Equal(p, Descriptive.StudentTwoSided(t, degrees), 12);

    [Fact]
    public void Equal_models_do_not_differ()
    {
        var same = PairedComparison.Of([1, 0, 1], [1, 0, 1]);
        Assert.Equal((0.0, 0.0, 1.0, 1.0, 1.0), (same.Difference, same.Z, same.PNormal, same.PStudent, same.McNemar!.PExact));
        var shifted = PairedComparison.Of([1.5, 2.5, 3.5], [1, 2, 3]);
        Assert.Equal((0.5, double.PositiveInfinity, 0.0), (shifted.Difference, shifted.Z, shifted.PStudent));
        Assert.Null(shifted.McNemar);
    }

    [Fact]
    public void Bootstraps_depend_on_the_seed_alone_and_agree_with_the_closed_form()
    {
        double[] differences = [0.3, -0.2, 0.9, 0.1, 0.4, -0.6, 0.2, 0.8, 0.05];
        var first = PairedBootstrap.Of(differences, 20_000, seed: 7);
        var again = PairedBootstrap.Of(differences, 20_000, seed: 7);
        Assert.Equal(first.Percentile95, again.Percentile95);
        Assert.NotEqual(first.StandardError, PairedBootstrap.Of(differences, 20_000, seed: 8).StandardError);
        Assert.InRange(first.StandardError / first.IdealStandardError, 0.975, 1.025);
        Assert.InRange(first.Mean, first.Percentile95.Low, first.Percentile95.High);
    }

    [Fact]
    public void Ratio_bootstrap_of_equal_models_shows_no_difference_and_of_a_better_one_does()
    {
        var bytes = Enumerable.Range(0, 40).Select(i => 100.0 + i).ToArray();
        var worse = bytes.Select((b, i) => b * (1 + (0.1 * (i % 3)))).ToArray();
        var better = worse.Select((x, i) => x * (0.95 + (0.01 * (i % 5)))).ToArray();
        var same = RatioBootstrap.Compare(worse, bytes, worse, bytes)!.Value;
        Assert.Equal((0.0, 1.0), (same.Difference, same.PValue));
        var result = RatioBootstrap.Compare(better, bytes, worse, bytes)!.Value;
        Assert.True(result.Percentile95.High < 0 && result.PValue < 0.001);
        Assert.Null(RatioBootstrap.Interval95([1], [2]));
        Assert.Equal(1.0, RatioBootstrap.Compare([double.PositiveInfinity, 1], [1, 1], [double.PositiveInfinity, 1], [1, 1])!.Value.PValue);
    }

    [Fact]
    public void Holm_keeps_the_order_given_and_never_falls()
    {
        Assert.Equal([0.04, 0.04, 0.03], Holm.Adjust([0.02, 0.04, 0.01]), (x, y) => Math.Abs(x - y) < 1e-12);
        Assert.Equal([1.0, 1.0], Holm.Adjust([0.7, 0.9]));
        Assert.Empty(Holm.Adjust([]));
    }

    [Fact]
    public void What_cannot_be_computed_is_an_error()
    {
        Assert.Equal(EvaluationError.TooFewItems, Assert.Throws<EvaluationException>(() => Descriptive.Estimate([])).Error);
        Assert.Equal(EvaluationError.InvalidParameter, Assert.Throws<EvaluationException>(() => PairedComparison.Of([1], [1, 2])).Error);
        Assert.Equal(EvaluationError.InvalidParameter, Assert.Throws<EvaluationException>(() => Descriptive.Wilson(1.5, 3)).Error);
        Assert.Equal(EvaluationError.InvalidParameter, Assert.Throws<EvaluationException>(() => Power.Items(1, 0)).Error);
    }

    [Theory]
    [InlineData(10, 4, 2, "-1>0,1,2,3 2,3>4,5,6 5,6>7,8,9")]
    [InlineData(6, 4, 4, "-1>0,1,2,3 0,1,2,3>4 1,2,3,4>5")]
    [InlineData(3, 1, 1, "-1>0 0>1 1>2")]
    [InlineData(0, 4, 1, "")]
    public void Rolling_windows(int length, int max, int context, string expected) =>
        Assert.Equal(expected, string.Join(' ', RollingWindows.Of(length, max, context).Select(w => $"{string.Join(',', w.Context)}>{string.Join(',', w.Continuation)}")));

    /// <summary>Newcombe 1998, table II, method 10.</summary>
    [Theory]
    [InlineData(36, 12, 2, 0, 0.0569, 0.3404)]
    public void Newcombes_interval_of_paired_proportions(int both, int onlyA, int onlyB, int neither, double low, double high)
    {
        var interval = PairedProportions.Newcombe95(both, onlyA, onlyB, neither);
        Assert.Equal((low, high), (Math.Round(interval.Low, 4), Math.Round(interval.High, 4)));
        var turned = PairedProportions.Newcombe95(both, onlyB, onlyA, neither);
        Assert.Equal((interval.Low, interval.High), (-turned.High, -turned.Low));
    }

    [Fact]
    public void Intervals_of_paired_proportions_stay_within_their_bounds_and_hold_the_difference()
    {
        for (var cell = 0; cell < 4 * 4 * 4 * 4; cell++)
        {
            int[] counts = [cell % 4 * 3, cell / 4 % 4 * 3, cell / 16 % 4 * 3, cell / 64 * 3];
            if (counts.Sum() == 0)
                continue;
            var (low, high) = PairedProportions.Newcombe95(counts[0], counts[1], counts[2], counts[3]);
            var difference = (counts[1] - counts[2]) / (double)counts.Sum();
            Assert.True(low >= -1 && high <= 1 && low <= difference && high >= difference && high > low, $"{string.Join(' ', counts)}: [{low}, {high}]");
        }

        Assert.Throws<EvaluationException>(() => PairedProportions.Newcombe95(0, 0, 0, 0));
        double[] right = [.. Enumerable.Repeat(1.0, 18), 0, 0];
        var paired = PairedComparison.Of(right, new double[20]);
        Assert.True(paired.Normal95.High > 1 && paired.Interval95.High <= 1);
        Assert.Equal(PairedComparison.Of([1, 2.5, 3], [2, 2, 2]).Normal95, PairedComparison.Of([1, 2.5, 3], [2, 2, 2]).Interval95);
    }

    /// <summary>The mean of k independent data sets of equal spread has 1/sqrt(k) of one's width; drawn within data sets, their own levels do not widen it.</summary>
    [Fact]
    public void A_mean_over_data_sets_is_drawn_within_each()
    {
        PairedRatios Data(int set) => new(
            [.. Enumerable.Range(0, 200).Select(i => (10.0 * set) + Math.Sin((i * 12.9) + set))], [.. Enumerable.Repeat(1.0, 200)], [.. Enumerable.Repeat(5.0 * set, 200)], [.. Enumerable.Repeat(1.0, 200)]);
        var one = RatioBootstrap.CompareMeans([Data(1)]);
        var single = RatioBootstrap.Compare(Data(1).NumeratorsA, Data(1).DenominatorsA, Data(1).NumeratorsB, Data(1).DenominatorsB)!.Value;
        Assert.Equal((single.Difference, single.Percentile95, single.PValue), (one.Difference, one.Percentile95, one.PValue));
        var four = RatioBootstrap.CompareMeans([Data(1), Data(2), Data(3), Data(4)]);
        Assert.InRange(four.Difference, 12.4, 12.6); // the mean of 5, 10, 15, 20
        Assert.InRange((four.Percentile95.High - four.Percentile95.Low) / (one.Percentile95.High - one.Percentile95.Low), 0.45, 0.55);
        Assert.InRange(four.Difference, four.Percentile95.Low, four.Percentile95.High);
        Assert.Throws<EvaluationException>(() => RatioBootstrap.CompareMeans([]));
        Assert.Throws<EvaluationException>(() => RatioBootstrap.CompareMeans([new PairedRatios([1], [1], [1], [1])]));
    }
}
