using System.Globalization;
using System.Numerics;
using System.Text.Json.Nodes;
using MergeKit.Core.Evaluation.Requests;
using MergeKit.Core.Evaluation.Statistics;

namespace MergeKit.Core.Tests.Evaluation;

/// <summary>Statistics and the reference harness's randomness.</summary>
internal sealed class StatisticOperations : IGoldenOperations
{
    public IEnumerable<GoldenOperation> Operations =>
    [
        new("stats.mean", input =>
        {
            var estimate = Descriptive.Estimate(input["scores"].Numbers());
            return new
            {
                mean = estimate.Mean,
                stderr = estimate.StandardError,
                ci95 = Pair(estimate.Normal95),
                wilson95 = estimate.Mean is >= 0 and <= 1 ? Pair(Descriptive.Wilson(estimate.Mean, estimate.Count)) : null,
            };
        }),
        new("stats.group", input =>
        {
            var estimate = GroupEstimate.Of(input["tasks"]!.AsArray()
                .Select(task => new TaskScore(task!["mean"].Number(), task["stderr"].Number(), (int)task["n"]!)).ToArray());
            return new { micro = estimate.Micro, macro = estimate.Macro, pooled_stderr = estimate.PooledStandardError, macro_stderr = estimate.MacroStandardError };
        }),
        new("stats.clustered", input =>
        {
            var clusters = input["clusters"]!.AsArray().Select(cluster => cluster!.ToJsonString()).ToArray();
            var estimate = ClusteredEstimate.Of(input["scores"].Numbers(), clusters);
            return new
            {
                mean = estimate.Mean,
                naive = estimate.Naive,
                clustered = estimate.Clustered,
                clustered_corrected = estimate.ClusteredCorrected,
                clusters = estimate.Clusters,
            };
        }),
        new("stats.paired", Paired),
        new("stats.paired_bootstrap", Bootstrap),
        new("stats.power", input => new
        {
            items = (int)Math.Ceiling(Power.Items(input["sd"].Number(), input["delta"].Number(), input["alpha"].Number(), input["power"].Number())),
            items_real = Power.Items(input["sd"].Number(), input["delta"].Number(), input["alpha"].Number(), input["power"].Number()),
            detectable = Power.DetectableDifference(input["sd"].Number(), (int)input["items"]!, input["alpha"].Number(), input["power"].Number()),
        }),
        new("stats.holm", input => new { adjusted = Holm.Adjust(input["p"].Numbers()) }),
        new("stats.harness_bootstrap", HarnessBootstrapCase),
        new("random.mt19937", RandomCase),
        new("fewshot.sample", FewShot),
    ];

    private static double[] Pair(Interval interval) => [interval.Low, interval.High];

    private static object Paired(JsonObject input)
    {
        var result = PairedComparison.Of(input["a"].Numbers(), input["b"].Numbers());
        return new
        {
            mean_a = result.MeanA,
            mean_b = result.MeanB,
            difference = result.Difference,
            stderr = result.StandardError,
            unpaired_stderr = result.UnpairedStandardError,
            correlation = result.Correlation,
            z = result.Z,
            p_normal = result.PNormal,
            p_t = result.PStudent,
            mcnemar = result.McNemar is not { } test ? null : new
            {
                only_a = test.OnlyA,
                only_b = test.OnlyB,
                p_exact = test.PExact,
                p_mid = test.PMid,
                chi2 = test.ChiSquare,
                p_chi2 = test.PChiSquare,
                chi2_corrected = test.ChiSquareCorrected,
                p_chi2_corrected = test.PChiSquareCorrected,
            },
        };
    }

    /// <summary>The closed form is compared as a number. The seeded draws are checked here against the exact law, within five standard errors of the sampling:
    /// what holds is returned as the expected value, what does not as what was drawn.</summary>
    private static object Bootstrap(JsonObject input)
    {
        var differences = input["differences"].Numbers();
        var draws = (int)input["check_draws"]!;
        var sampled = PairedBootstrap.Of(differences, draws, seed: 20240607);
        var means = ExactMeans(differences);
        var ratio = sampled.StandardError / sampled.IdealStandardError;
        Assert.InRange(ratio, 1 - (5 / Math.Sqrt(2.0 * draws)), 1 + (5 / Math.Sqrt(2.0 * draws)));
        return new
        {
            mean = sampled.Mean,
            bootstrap_stderr = sampled.IdealStandardError,
            p_le_zero = Within(sampled.ShareLessOrEqualZero, means.Count(mean => mean <= 0) / (double)means.Length, draws),
            p_ge_zero = Within(sampled.ShareGreaterOrEqualZero, means.Count(mean => mean >= 0) / (double)means.Length, draws),
            quantiles = new[] { "0.025", "0.5", "0.975" }.ToDictionary(text => text, text => Quantile(text)),
            resamples = (long)Math.Pow(differences.Length, differences.Length),
        };

        double Quantile(string text)
        {
            var p = double.Parse(text, CultureInfo.InvariantCulture);
            var slack = 5 * Math.Sqrt(p * (1 - p) / draws);
            Assert.InRange(sampled.Quantile(p), At(p - slack) - 1e-9, At(p + slack) + 1e-9);
            return At(p);
        }

        double At(double p) => means[Math.Clamp((int)Math.Ceiling(p * means.Length) - 1, 0, means.Length - 1)];
    }

    private static double Within(double drawn, double exact, int draws)
    {
        var slack = 5 * Math.Sqrt(exact * (1 - exact) / draws);
        Assert.InRange(drawn, exact - slack, exact + slack);
        return exact;
    }

    /// <summary>The means of all n^n resamples, sorted.</summary>
    private static double[] ExactMeans(double[] values)
    {
        var sums = new[] { 0.0 };
        for (var i = 0; i < values.Length; i++)
            sums = sums.SelectMany(sum => values.Select(value => sum + value)).ToArray();
        return sums.Select(sum => sum / values.Length).Order().ToArray();
    }

    private static object HarnessBootstrapCase(JsonObject input)
    {
        var items = input["items"].Numbers();
        Func<IReadOnlyList<double>, double> statistic = (string)input["statistic"]! switch
        {
            "perplexity" => HarnessBootstrap.Perplexity,
            "median" => HarnessBootstrap.Median,
            "mean" => Descriptive.Mean,
            var other => throw new InvalidOperationException($"not built yet: the statistic {other}"),
        };
        return new { value = statistic(items), stderr = HarnessBootstrap.StandardError(items, statistic, (int)input["iterations"]!) };
    }

    private static object RandomCase(JsonObject input)
    {
        var seed = BigInteger.Parse(input["seed"]!.ToJsonString(), CultureInfo.InvariantCulture);
        var bits = new MersenneTwister(seed);
        var doubles = new MersenneTwister(seed);
        return new
        {
            getrandbits32 = Enumerable.Range(0, 3).Select(_ => (long)bits.NextBits(32)).ToArray(),
            random = Enumerable.Range(0, 3).Select(_ => doubles.NextDouble()).ToArray(),
            sample_5_of_100 = new MersenneTwister(seed).Sample(100, 5),
            sample_4_of_10 = new MersenneTwister(seed).Sample(10, 4),
            choices_8_of_10 = new MersenneTwister(seed).Choices(10, 8),
        };
    }

    private static object FewShot(JsonObject input)
    {
        var seed = BigInteger.Parse(input["seed"]!.ToJsonString(), CultureInfo.InvariantCulture);
        var sampler = new FewShotSampler(seed, (int)input["pool"]!, (int)input["shots"]!, (bool)input["exclude_self"]!);
        return new { indices = Enumerable.Range(0, (int)input["documents"]!).Select(sampler.Next).ToArray() };
    }
}
