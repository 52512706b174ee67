using MergeKit.Core.Evaluation;

namespace MergeKit.Core.Search.Tuning;

/// <summary>Scores candidates on the tuning sets, block by block in an order fixed by the seed. A candidate that loses against the best so far is
/// given up early (racing): per set the paired differences of the items scored so far estimate the difference over all items, with the
/// correction for drawing without replacement; where that is above 0 by three standard errors, the rest is not scored.</summary>
/// <remarks>Maron and Moore 1994, "Hoeffding races", with paired differences as in Moore and Lee 1994.</remarks>
public sealed class Tuner
{
    /// <summary>Parts in which items are scored.</summary>
    public const int Blocks = 4;

    private const int LeastItems = 6;
    private const double StandardErrors = 3;
    private readonly int[][] _orders;

    /// <summary>A tuner over sets that have been prepared.</summary>
    public Tuner(IReadOnlyList<TuningSet> sets, ulong seed)
    {
        Sets = sets;
        _orders = [.. sets.Select((set, index) => Shuffled(set.Count, new SearchRandom(seed, (ulong)index + 1)))];
    }

    /// <summary>The sets.</summary>
    public IReadOnlyList<TuningSet> Sets { get; }

    /// <summary>Scores a candidate; against <paramref name="incumbent"/>, a complete score, it may be given up.</summary>
    public TuningScores Score(EvaluatedModel model, TuningScores? incumbent, CancellationToken cancellation)
    {
        var numerators = Sets.Select(set => new double[set.Count]).ToArray();
        for (var block = 1; block <= Blocks; block++)
        {
            for (var s = 0; s < Sets.Count; s++)
            {
                var (from, to) = (End(s, block - 1), End(s, block));
                if (to > from)
                    Sets[s].Score(model, _orders[s][from..to], numerators[s].AsSpan(from, to - from), cancellation);
            }

            if (numerators.Where((values, s) => values.AsSpan(0, End(s, block)).ContainsAnyNotFinite()).Any())
                return new TuningScores(double.PositiveInfinity, [.. Sets.Select(_ => double.PositiveInfinity)], Cut(numerators, block), Complete: true);
            if (block < Blocks && incumbent is not null && GivenUp(numerators, block, incumbent) is { } estimates)
                return new TuningScores(Weighted(estimates), estimates, Cut(numerators, block), Complete: false);
        }

        double[] losses = [.. Sets.Select((set, s) => numerators[s].Sum() / set.Denominators.Sum())];
        return new TuningScores(Weighted(losses), losses, numerators, Complete: true);
    }

    /// <summary>The estimated losses of a candidate that is losing; null while it is not.</summary>
    private double[]? GivenUp(double[][] numerators, int block, TuningScores incumbent)
    {
        var (difference, variance, items) = (0.0, 0.0, 0);
        var estimates = new double[Sets.Count];
        for (var s = 0; s < Sets.Count; s++)
        {
            var (count, all) = (End(s, block), Sets[s].Count);
            var scale = all / Sets[s].Denominators.Sum();
            double[] differences = [.. Enumerable.Range(0, count).Select(i => (numerators[s][i] - incumbent.Numerators[s][i]) * scale)];
            var mean = count == 0 ? 0 : differences.Average();
            estimates[s] = incumbent.Losses[s] + mean;
            if (Sets[s].Weight == 0)
                continue;
            if (count < 2)
                return null;
            items += count;
            difference += Sets[s].Weight * mean;
            variance += Sets[s].Weight * Sets[s].Weight * differences.Sum(d => (d - mean) * (d - mean)) / (count - 1) / count * (1 - ((double)count / all));
        }

        return items >= LeastItems && difference > StandardErrors * Math.Sqrt(variance) && difference > 0 ? estimates : null;
    }

    private double Weighted(IReadOnlyList<double> losses) => Sets.Select((set, s) => set.Weight == 0 ? 0 : set.Weight * losses[s]).Sum() / Sets.Sum(set => set.Weight);

    private int End(int set, int block) => (int)((long)Sets[set].Count * block / Blocks);

    private double[][] Cut(double[][] numerators, int block) => [.. numerators.Select((values, s) => values[..End(s, block)])];

    private static int[] Shuffled(int count, SearchRandom random)
    {
        int[] order = [.. Enumerable.Range(0, count)];
        for (var i = count - 1; i > 0; i--)
        {
            var j = (int)(random.Uniform() * (i + 1));
            (order[i], order[j]) = (order[j], order[i]);
        }

        return order;
    }
}

/// <summary>Looks for numbers that are not finite.</summary>
internal static class NotFinite
{
    public static bool ContainsAnyNotFinite(this Span<double> values)
    {
        foreach (var value in values)
            if (!double.IsFinite(value))
                return true;
        return false;
    }
}
