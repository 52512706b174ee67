using MergeKit.Core.Architectures;
using MergeKit.Core.Moe.Routers;

namespace MergeKit.Inference.Backends.Cpu;

/// <summary>The choice of experts for one token.</summary>
internal static class CpuRouter
{
    /// <summary>Chooses experts and gives them by falling weight. <paramref name="logits"/> are overwritten with the scores.</summary>
    public static void Choose(RoutingSpec routing, float[]? correction, Span<float> logits, Span<int> experts, Span<float> weights)
    {
        ExpertRouting.Choose(routing, correction, logits, experts, weights);
        SortByWeight(experts, weights);
    }

    /// <summary>Equal weights keep their order.</summary>
    private static void SortByWeight(Span<int> experts, Span<float> weights)
    {
        for (var i = 1; i < experts.Length; i++)
            for (var j = i; j > 0 && weights[j] > weights[j - 1]; j--)
                (weights[j], weights[j - 1], experts[j], experts[j - 1]) = (weights[j - 1], weights[j], experts[j - 1], experts[j]);
    }
}
