using System.Numerics.Tensors;
using MergeKit.Core.Architectures;
using MergeKit.Inference.Backends.Cpu.Kernels;

namespace MergeKit.Inference.Backends.Cpu;

/// <summary>The choice of experts for one token.</summary>
internal static class CpuRouter
{
    /// <summary>Chooses experts by falling score and gives their weights. <paramref name="logits"/> are overwritten with the scores.</summary>
    public static void Choose(RoutingSpec routing, float[]? correction, Span<float> logits, Span<int> experts, Span<float> weights)
    {
        var scores = logits;
        if (routing.Scoring == RouterScoring.Softmax)
            VectorOps.Softmax(scores);
        else if (routing.Scoring == RouterScoring.Sigmoid)
            TensorPrimitives.Sigmoid(scores, scores);
        var ranking = scores.ToArray();
        if (correction is not null)
            TensorPrimitives.Add(ranking, correction, ranking);
        if (routing.Groups > 1)
            KeepBestGroups(routing, ranking);
        for (var k = 0; k < experts.Length; k++)
        {
            experts[k] = IndexOfLargest(ranking);
            weights[k] = scores[experts[k]];
            ranking[experts[k]] = float.NegativeInfinity;
        }

        if (routing.Scoring == RouterScoring.SoftmaxOfChosen)
            VectorOps.Softmax(weights);
        if (routing.Normalise && weights.Length > 1)
            TensorPrimitives.Divide(weights, TensorPrimitives.Sum<float>(weights) + 1e-20f, weights);
        TensorPrimitives.Multiply(weights, routing.Scale, weights);
        SortByWeight(experts, weights);
    }

    private static void KeepBestGroups(RoutingSpec routing, float[] ranking)
    {
        var size = ranking.Length / routing.Groups;
        var groups = new float[routing.Groups];
        for (var group = 0; group < groups.Length; group++)
        {
            var members = ranking.AsSpan(group * size, size).ToArray();
            Array.Sort(members, (a, b) => b.CompareTo(a));
            groups[group] = routing.Ranking == GroupRanking.Best || size == 1 ? members[0] : members[0] + members[1];
        }

        var kept = new bool[groups.Length];
        for (var k = 0; k < routing.TopGroups; k++)
        {
            var best = IndexOfLargest(groups);
            (kept[best], groups[best]) = (true, float.NegativeInfinity);
        }

        for (var i = 0; i < ranking.Length; i++)
            if (!kept[i / size])
                ranking[i] = float.NegativeInfinity;
    }

    /// <summary>The first of the largest values; the first one left where all are NaN.</summary>
    private static int IndexOfLargest(ReadOnlySpan<float> values)
    {
        var best = 0;
        for (var i = 1; i < values.Length; i++)
            if (values[i] > values[best])
                best = i;
        return best;
    }

    /// <summary>Equal weights keep their order.</summary>
    private static void SortByWeight(Span<int> experts, Span<float> weights)
    {
        for (var i = 1; i < experts.Length; i++)
            for (var j = i; j > 0 && weights[j] > weights[j - 1]; j--)
                (weights[j], weights[j - 1], experts[j], experts[j - 1]) = (weights[j - 1], weights[j], experts[j - 1], experts[j]);
    }
}
