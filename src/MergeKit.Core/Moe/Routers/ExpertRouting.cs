using System.Numerics;
using System.Numerics.Tensors;
using MergeKit.Core.Architectures;

namespace MergeKit.Core.Moe.Routers;

/// <summary>Which experts a token visits, and with what weight: the one definition that engine, reports and calibration share.</summary>
/// <remarks>Scores s are softmax(z), sigmoid(z), or z itself where the softmax is taken over the chosen ones alone. The choice is by s + bias,
/// limited to the best groups where experts are grouped (a group is ranked by its best, or the sum of its two best, biased scores).
/// Weights are the unbiased scores, divided by their sum where the rule says so, times the scale.
/// Softmax over the k kept logits equals softmax over all, top k, renormalised (Mixtral, arXiv 2401.04088).</remarks>
public static class ExpertRouting
{
    private const int StackExperts = 256;
    private const double Tiny = 1e-20;

    /// <summary>Chooses by falling selection score; of equal ones the lowest expert first.</summary>
    /// <param name="routing">The rule.</param>
    /// <param name="correction">Added to the scores for the choice only; empty for none.</param>
    /// <param name="logits">One per expert; overwritten with the scores.</param>
    /// <param name="experts">Receives the chosen experts.</param>
    /// <param name="weights">Receives their weights.</param>
    public static void Choose<T>(RoutingSpec routing, ReadOnlySpan<T> correction, Span<T> logits, Span<int> experts, Span<T> weights)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (routing.Scoring == RouterScoring.Softmax)
            Softmax(logits);
        else if (routing.Scoring == RouterScoring.Sigmoid)
            TensorPrimitives.Sigmoid<T>(logits, logits);
        var ranking = logits.Length <= StackExperts ? stackalloc T[logits.Length] : new T[logits.Length];
        logits.CopyTo(ranking);
        if (!correction.IsEmpty)
            TensorPrimitives.Add<T>(ranking, correction, ranking);
        if (routing.Groups > 1)
            KeepBestGroups(routing, ranking);
        for (var k = 0; k < experts.Length; k++)
        {
            experts[k] = IndexOfLargest(ranking);
            weights[k] = logits[experts[k]];
            ranking[experts[k]] = T.NegativeInfinity;
        }

        if (routing.Scoring == RouterScoring.SoftmaxOfChosen)
            Softmax(weights);
        if (routing.Normalise)
            TensorPrimitives.Divide(weights, TensorPrimitives.Sum<T>(weights) + T.CreateChecked(Tiny), weights);
        if (routing.Scale != 1)
            TensorPrimitives.Multiply(weights, T.CreateChecked(routing.Scale), weights);
    }

    /// <summary>exp(z - max) / sum, in place.</summary>
    public static void Softmax<T>(Span<T> z) where T : unmanaged, IFloatingPointIeee754<T>
    {
        TensorPrimitives.Subtract(z, TensorPrimitives.Max<T>(z), z);
        TensorPrimitives.Exp<T>(z, z);
        TensorPrimitives.Divide(z, TensorPrimitives.Sum<T>(z), z);
    }

    private static void KeepBestGroups<T>(RoutingSpec routing, Span<T> ranking) where T : unmanaged, IFloatingPointIeee754<T>
    {
        var size = ranking.Length / routing.Groups;
        var groups = routing.Groups <= StackExperts ? stackalloc T[routing.Groups] : new T[routing.Groups];
        for (var group = 0; group < groups.Length; group++)
        {
            var (best, second) = (T.NegativeInfinity, T.NegativeInfinity);
            foreach (var score in ranking.Slice(group * size, size))
                (best, second) = score > best ? (score, best) : score > second ? (best, score) : (best, second);
            groups[group] = routing.Ranking == GroupRanking.Best || size == 1 ? best : best + second;
        }

        for (var dropped = routing.Groups - routing.TopGroups; dropped > 0; dropped--)
        {
            var worst = IndexOfWorst(groups);
            groups[worst] = T.PositiveInfinity;
            ranking.Slice(worst * size, size).Fill(T.NegativeInfinity);
        }
    }

    /// <summary>The last of the smallest values.</summary>
    private static int IndexOfWorst<T>(ReadOnlySpan<T> values) where T : unmanaged, IFloatingPointIeee754<T>
    {
        var worst = 0;
        for (var i = 1; i < values.Length; i++)
            if (values[i] <= values[worst])
                worst = i;
        return worst;
    }

    /// <summary>The first of the largest values; the first one left where all are NaN.</summary>
    private static int IndexOfLargest<T>(ReadOnlySpan<T> values) where T : unmanaged, IFloatingPointIeee754<T>
    {
        var best = 0;
        for (var i = 1; i < values.Length; i++)
            if (values[i] > values[best])
                best = i;
        return best;
    }
}
