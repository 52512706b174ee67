using MergeKit.Core.Architectures;

namespace MergeKit.Inference.Runtime;

/// <summary>How many tokens a pass takes at once, so that activations stay within a bound.</summary>
internal static class PassPlanner
{
    private const long ActivationBytes = 96L << 20;
    private const int Most = 4096, Least = 64;

    /// <summary>Tokens per pass on the CPU.</summary>
    public static int CpuTokens(NetworkSpec network)
    {
        var widest = network.Layers.Max(layer => (long)Math.Max(
            layer.Attention.Heads * (long)(layer.Attention.HeadDim + layer.Attention.ValueDim) * 2,
            3L * (layer.Mlp?.Intermediate ?? Math.Max(layer.Moe!.Intermediate, layer.Moe.Shared?.Intermediate ?? 0))));
        return (int)Math.Clamp(ActivationBytes / (4 * (widest + 6L * network.HiddenSize)), Least, Most);
    }

    /// <summary>Parts of a sequence, in order.</summary>
    public static IEnumerable<ReadOnlyMemory<int>> Split(Engine engine, ReadOnlyMemory<int> ids)
    {
        var size = engine.Backend.TokensPerPass;
        for (var start = 0; start < ids.Length; start += size)
            yield return ids.Slice(start, Math.Min(size, ids.Length - start));
    }
}
