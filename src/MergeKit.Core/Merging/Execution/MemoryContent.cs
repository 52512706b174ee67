using MergeKit.Core.Checkpoints;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Merging.Execution;

/// <summary>A tensor of a merge in memory, as a model's tensor; usable for as long as that memory.</summary>
/// <param name="tensor">Where it lies.</param>
internal sealed unsafe class MemoryContent(MemoryTensor tensor) : ITensorContent
{
    /// <inheritdoc/>
    public string Form => "memory";

    /// <inheritdoc/>
    public void Read(long start, Span<float> destination)
    {
        var size = tensor.Type.Size();
        for (var done = 0; done < destination.Length; done += Piece)
        {
            var count = Math.Min(Piece, destination.Length - done);
            TensorCodec.Decode(tensor.Type, new ReadOnlySpan<byte>((byte*)tensor.Data + ((start + done) * size), count * size), destination.Slice(done, count));
        }
    }

    /// <summary>Elements decoded at once, so that their bytes can be counted by an int.</summary>
    private const int Piece = 1 << 24;
}
