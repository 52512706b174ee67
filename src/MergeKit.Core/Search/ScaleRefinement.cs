using System.Globalization;

namespace MergeKit.Core.Search;

/// <summary>Looks for the best of many scales: first a few given ones, then, round by round, the middles between the best so far and its neighbours. Beside the least of them
/// stands 0, beside the greatest half as much again.</summary>
internal static class ScaleRefinement
{
    private const int Rounds = 4;

    /// <summary>The scale of the least objective; the smaller one on ties.</summary>
    /// <param name="scales">Those to begin with, above 0.</param>
    /// <param name="objective">The objective of a scale; not finite where it cannot be scored.</param>
    public static double Best(IReadOnlyList<double> scales, Func<double, double> objective)
    {
        var tried = new SortedList<double, double>();
        foreach (var scale in scales)
            tried[scale] = objective(scale);
        for (var round = 0; round < Rounds; round++)
        {
            var (best, index) = (BestOf(tried), tried.IndexOfKey(BestOf(tried)));
            var (below, above) = (index > 0 ? tried.Keys[index - 1] : 0, index < tried.Count - 1 ? tried.Keys[index + 1] : 1.5 * best);
            foreach (var middle in new[] { Rounded((below + best) / 2), Rounded((best + above) / 2) })
                if (middle > 0 && !tried.ContainsKey(middle))
                    tried[middle] = objective(middle);
        }

        return BestOf(tried);
    }

    private static double BestOf(SortedList<double, double> tried) => tried.MinBy(pair => double.IsFinite(pair.Value) ? pair.Value : double.PositiveInfinity).Key;

    /// <summary>Four significant digits: scales that a reader can repeat.</summary>
    private static double Rounded(double scale) => double.Parse(scale.ToString("G4", CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);
}
