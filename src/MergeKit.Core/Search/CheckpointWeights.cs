using MergeKit.Core.Evaluation;

namespace MergeKit.Core.Search;

/// <summary>Averages over the checkpoints of one run, oldest first, as the weight of each checkpoint. The weights of every average sum to 1,
/// so each is an ordinary linear merge.</summary>
public static class CheckpointWeights
{
    /// <summary>Stochastic weight averaging (Izmailov et al. 2018): the running mean, 1/n each.</summary>
    public static double[] Uniform(int count) => Enumerable.Repeat(1.0 / AtLeastOne(count), count).ToArray();

    /// <summary>The exponential moving average that begins at the first checkpoint: decay^(n-1) for the first, (1 - decay) decay^(n-1-i) for checkpoint i.</summary>
    public static double[] Exponential(int count, double decay) =>
        Powers(count, decay).Select((power, i) => i == 0 ? power : (1 - decay) * power).ToArray();

    /// <summary>The exponential moving average that begins at zero, divided by 1 - decay^n.</summary>
    public static double[] ExponentialDebiased(int count, double decay) =>
        Powers(count, decay).Select(power => (1 - decay) * power / (1 - Math.Pow(decay, count))).ToArray();

    /// <summary>Latest weight averaging (Kaddour 2022): the mean of the last <paramref name="last"/> checkpoints, or of all when there are fewer.</summary>
    public static double[] Latest(int count, int last)
    {
        var used = Math.Min(AtLeastOne(count), AtLeastOne(last));
        return Enumerable.Range(0, count).Select(i => i >= count - used ? 1.0 / used : 0).ToArray();
    }

    /// <summary>The weighted sum of parameters. Errors: lengths that differ.</summary>
    public static double[] Combine(IReadOnlyList<IReadOnlyList<double>> checkpoints, IReadOnlyList<double> weights)
    {
        if (checkpoints.Count != weights.Count || checkpoints.Count == 0 || checkpoints.Any(checkpoint => checkpoint.Count != checkpoints[0].Count))
            throw new EvaluationException(EvaluationError.InvalidParameter, $"{checkpoints.Count} checkpoints with {weights.Count} weights, or of unlike lengths");
        return Enumerable.Range(0, checkpoints[0].Count).Select(j => weights.Select((weight, i) => weight * checkpoints[i][j]).Sum()).ToArray();
    }

    private static IEnumerable<double> Powers(int count, double decay)
    {
        if (decay is < 0 or >= 1)
            throw new EvaluationException(EvaluationError.InvalidParameter, $"a decay of {decay}: expected 0 to below 1");
        return Enumerable.Range(0, AtLeastOne(count)).Select(i => Math.Pow(decay, count - 1 - i));
    }

    private static int AtLeastOne(int count) =>
        count > 0 ? count : throw new EvaluationException(EvaluationError.TooFewItems, "an average needs at least one checkpoint");
}
