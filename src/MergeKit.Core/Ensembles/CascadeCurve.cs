using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Ensembles;

/// <summary>A cascade at one threshold.</summary>
/// <param name="Threshold">The small model answers when its confidence is at least this; infinite: never.</param>
/// <param name="Accuracy">Share of right answers.</param>
/// <param name="Cost">Mean cost per item, in the unit of the models' costs.</param>
public sealed record CascadePoint(double Threshold, double Accuracy, double Cost);

/// <summary>The choice between accuracy and cost of a cascade of two models: the small one answers when it is confident enough; else the large one runs too,
/// and its cost is added.</summary>
/// <param name="Points">By rising threshold, hence rising cost: every confidence seen, and infinity.</param>
public sealed record CascadeCurve(IReadOnlyList<CascadePoint> Points)
{
    private const double Rounding = 1e-12;

    /// <summary>The curve over held-out items. Errors: lists of different lengths, no items, a NaN, costs below 0.</summary>
    public static CascadeCurve Of(
        IReadOnlyList<double> confidence, IReadOnlyList<double> smallCorrect, IReadOnlyList<double> largeCorrect, double smallCost, double largeCost)
    {
        if (confidence.Count == 0 || smallCorrect.Count != confidence.Count || largeCorrect.Count != confidence.Count)
            throw new InputException($"a cascade's curve needs as many results as confidences; got {confidence.Count}, {smallCorrect.Count} and {largeCorrect.Count}");
        if (confidence.Any(double.IsNaN) || !(smallCost >= 0) || !(largeCost >= 0))
            throw new InputException($"a cascade's curve needs confidences that are numbers and costs of at least 0; got {smallCost} and {largeCost}");
        int[] order = [.. Enumerable.Range(0, confidence.Count).OrderBy(i => confidence[i])];
        var (count, points) = ((double)confidence.Count, new List<CascadePoint>());
        var correct = order.Sum(i => smallCorrect[i]);
        for (var below = 0; below <= order.Length; below++)
        {
            if (below == order.Length || below == 0 || confidence[order[below]] > confidence[order[below - 1]])
                points.Add(new CascadePoint(
                    below == order.Length ? double.PositiveInfinity : confidence[order[below]], correct / count, smallCost + (below / count * largeCost)));
            if (below < order.Length)
                correct += largeCorrect[order[below]] - smallCorrect[order[below]];
        }

        return new CascadeCurve(points);
    }

    /// <summary>The cheapest point that reaches an accuracy; null where none does.</summary>
    public CascadePoint? ForAccuracy(double target) =>
        Points.Where(point => point.Accuracy >= target - Rounding).OrderBy(point => point.Cost).FirstOrDefault();

    /// <summary>The most accurate point within a budget per item, the cheaper on ties; null where none is.</summary>
    public CascadePoint? ForBudget(double budget) =>
        Points.Where(point => point.Cost <= budget + Rounding).OrderByDescending(point => point.Accuracy).ThenBy(point => point.Cost).FirstOrDefault();
}
