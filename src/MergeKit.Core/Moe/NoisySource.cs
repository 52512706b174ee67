using System.Buffers;
using System.Numerics.Tensors;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Merging;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Moe;

/// <summary>W + noise Z with Z standard normal, a pure function of seed, name and element: an expert's matrix that becomes a part of a larger tensor.</summary>
/// <param name="Inner">W.</param>
/// <param name="Noise">Standard deviation of the noise.</param>
/// <param name="Name">Tells the noise of one matrix from that of others.</param>
/// <param name="Seed">The run's seed.</param>
internal sealed record NoisySource(ITensorSource Inner, float Noise, string Name, ulong Seed) : ITensorSource
{
    /// <inheritdoc/>
    public string Description => $"{Inner.Description} + {Noise} x noise";

    /// <inheritdoc/>
    public DType Type => Inner.Type;

    /// <inheritdoc/>
    public long Count => Inner.Count;

    /// <inheritdoc/>
    public (Checkpoint Checkpoint, TensorInfo Tensor)? Verbatim => null;

    /// <inheritdoc/>
    public void Read(long start, Span<float> destination, Span<byte> scratch)
    {
        Inner.Read(start, destination, scratch);
        var rented = ArrayPool<float>.Shared.Rent(destination.Length);
        var normal = rented.AsSpan(0, destination.Length);
        new CounterGaussian(Seed, Name, 0).Fill(start, normal);
        TensorPrimitives.MultiplyAdd(normal, Noise, destination, destination);
        ArrayPool<float>.Shared.Return(rented);
    }
}
