using System.Globalization;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Numerics;
using MergeKit.Inference.Backends;

namespace MergeKit.Inference.Runtime;

/// <summary>Dropout at inference with one mask per block input and pass, the same at every position of every sequence (variational dropout, Gal and
/// Ghahramani 2016). The mask is folded into the norm before the block, so a pass costs nothing extra.</summary>
internal static class Dropout
{
    /// <summary>Weights whose norms before attention and feed-forward leave units out and scale the others by 1 / (1 - rate).</summary>
    /// <exception cref="InputException">There is no norm before a layer's blocks.</exception>
    public static NetworkWeights Apply(string name, NetworkWeights weights, double rate, int seed, int pass)
    {
        if (weights.Layers.Any(layer => layer.AttentionNorm is null))
            throw new InputException($"{name}: dropout is applied to the norms before each block, which this architecture does not have");
        return weights with
        {
            Layers = [.. weights.Layers.Select((layer, index) => layer with
            {
                AttentionNorm = Masked(layer.AttentionNorm!, "attention", index),
                MlpNorm = layer.MlpNorm is { } norm ? Masked(norm, "mlp", index) : null,
            })],
        };

        NormWeights Masked(NormWeights norm, string block, int index)
        {
            var mask = new uint[norm.Weight.Length];
            new CounterRandom((ulong)seed, string.Create(CultureInfo.InvariantCulture, $"dropout.{index}.{block}"), pass).Fill(0, mask);
            var (threshold, scale) = (rate * (1L << 32), (float)(1 / (1 - rate)));
            float Keep(float value, int unit) => mask[unit] < threshold ? 0 : value * scale;
            return norm with { Weight = [.. norm.Weight.Select(Keep)], Bias = [.. norm.Bias.Select(Keep)] };
        }
    }
}
