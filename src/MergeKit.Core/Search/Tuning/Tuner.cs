using MergeKit.Core.Evaluation;

namespace MergeKit.Core.Search.Tuning;

/// <summary>Scores candidates on the tuning sets, block by block in an order fixed by the seed. After every block but the last a candidate that is losing by
/// the rule of a race is given up.</summary>
public sealed class Tuner
{
    /// <summary>Parts in which items are scored.</summary>
    public const int Blocks = 4;

    private readonly int[][] _orders;

    /// <summary>A tuner over sets that have been prepared.</summary>
    public Tuner(IReadOnlyList<TuningSet> sets, ulong seed)
    {
        Sets = sets;
        _orders = [.. sets.Select((set, index) => Shuffled(set.Count, new SearchRandom(seed, (ulong)index + 1)))];
    }

    /// <summary>The sets.</summary>
    public IReadOnlyList<TuningSet> Sets { get; }

    /// <summary>Scores a candidate; by the rule of <paramref name="race"/> it may be given up.</summary>
    public TuningScores Score(EvaluatedModel model, IRace? race, CancellationToken cancellation)
    {
        var numerators = Sets.Select(set => new double[set.Count]).ToArray();
        var step = race is null ? Blocks : 1; // without a race in one go
        for (var block = step; block <= Blocks; block += step)
        {
            for (var s = 0; s < Sets.Count; s++)
            {
                var (from, to) = (End(s, block - step), End(s, block));
                if (to > from)
                    Sets[s].Score(model, _orders[s][from..to], numerators[s].AsSpan(from, to - from), cancellation);
            }

            if (numerators.Where((values, s) => values.AsSpan(0, End(s, block)).ContainsAnyNotFinite()).Any())
                return new TuningScores(double.PositiveInfinity, [.. Sets.Select(_ => double.PositiveInfinity)], Cut(numerators, block), Complete: true);
            if (block < Blocks && race?.GivenUp(new PartialScores(Sets, numerators, [.. Sets.Select((_, s) => End(s, block))])) is { } estimates)
                return new TuningScores(Weighted(estimates), estimates, Cut(numerators, block), Complete: false);
        }

        double[] losses = [.. Sets.Select((set, s) => numerators[s].Sum() / set.Denominators.Sum())];
        return new TuningScores(Weighted(losses), losses, numerators, Complete: true);
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
