namespace MergeKit.Core.Search.Tuning;

/// <summary>What is known of a candidate after some of its items, beside models that were scored on all.</summary>
/// <param name="sets">The tuning sets.</param>
/// <param name="numerators">Per set the items' numerators in the order of scoring; only the first so many are known.</param>
/// <param name="counts">Per set the items that are known.</param>
public sealed class PartialScores(IReadOnlyList<TuningSet> sets, IReadOnlyList<double[]> numerators, IReadOnlyList<int> counts)
{
    /// <summary>The sets.</summary>
    public IReadOnlyList<TuningSet> Sets => sets;

    /// <summary>Items of a set that are known.</summary>
    public int Count(int set) => counts[set];

    /// <summary>How much greater the candidate's loss on all items of a set will be than another's, estimated from the paired differences of the items known so
    /// far, and the square of that estimate's standard error, with the correction for drawing without replacement. Of fewer than two items: (0, infinite).</summary>
    public (double Mean, double Variance) Against(TuningScores other, int set)
    {
        var (count, all) = (counts[set], sets[set].Count);
        if (count < 2)
            return (0, double.PositiveInfinity);
        var scale = all / sets[set].Denominators.Sum();
        double[] differences = [.. Enumerable.Range(0, count).Select(i => (numerators[set][i] - other.Numerators[set][i]) * scale)];
        var mean = differences.Average();
        return (mean, differences.Sum(d => (d - mean) * (d - mean)) / (count - 1) / count * (1 - ((double)count / all)));
    }

    /// <summary>The losses that the differences from another imply.</summary>
    public double[] Estimates(TuningScores other) => [.. sets.Select((_, s) => other.Losses[s] + Against(other, s).Mean)];
}
