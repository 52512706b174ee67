namespace MergeKit.Core.Evaluation.Statistics;

/// <summary>The bootstrap of lm-evaluation-harness: chunks of at most 1,000 resamples, chunk i drawn with replacement by a
/// <see cref="MersenneTwister"/> seeded i; the standard error is the sample standard deviation of the replicates.</summary>
public static class HarnessBootstrap
{
    private const int ChunkSize = 1000;

    /// <summary>exp(-mean).</summary>
    public static double Perplexity(IReadOnlyList<double> items) => Math.Exp(-Descriptive.Mean(items));

    /// <summary>The item at index n / 2 of the sorted items (the upper median).</summary>
    public static double Median(IReadOnlyList<double> items) => items.Order().ElementAt(items.Count / 2);

    /// <summary>The standard error of a statistic over <paramref name="iterations"/> resamples, a multiple of the chunk (a rest is left out, as there).</summary>
    public static double StandardError(IReadOnlyList<double> items, Func<IReadOnlyList<double>, double> statistic, int iterations)
    {
        if (items.Count == 0 || iterations < 2)
            throw new EvaluationException(EvaluationError.TooFewItems, $"a bootstrap needs items and at least 2 iterations; got {items.Count} and {iterations}");
        var chunk = Math.Min(ChunkSize, iterations);
        var replicates = new double[iterations / chunk * chunk];
        var sample = new double[items.Count];
        for (var i = 0; i < replicates.Length / chunk; i++)
        {
            var random = new MersenneTwister(i);
            for (var j = 0; j < chunk; j++)
            {
                for (var k = 0; k < sample.Length; k++)
                    sample[k] = items[(int)Math.Floor(random.NextDouble() * items.Count)];
                replicates[(i * chunk) + j] = statistic(sample);
            }
        }

        return Descriptive.StandardDeviation(replicates);
    }
}
