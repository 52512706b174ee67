using System.Runtime.InteropServices;

namespace MergeKit.Core.Checkpoints.Stored;

/// <summary>The tensors that bitsandbytes stores beside a 4-bit weight.</summary>
/// <param name="Packed">Two codes a byte, high half first.</param>
/// <param name="AbsMax">One scale per block: float32, or 8-bit codes where the scales are quantised themselves.</param>
/// <param name="Code">The 16 values.</param>
/// <param name="Nested">Scales and values of the 8-bit codes; null where the scales are float32.</param>
internal sealed record FourBitParts(TensorInfo Packed, TensorInfo AbsMax, TensorInfo Code, (TensorInfo AbsMax, TensorInfo Code)? Nested);

/// <summary>NF4 and FP4 of bitsandbytes (Dettmers et al. 2023, "QLoRA"): W = code[q] absmax, per block of (usually) 64 elements; with double
/// quantisation absmax = code8[a] nested_absmax + offset, per 256 blocks. One float32 rounding, three with double quantisation.</summary>
internal sealed class FourBitContent(Checkpoint checkpoint, FourBitParts parts, int block, int nestedBlock, float nestedOffset, string form) : ITensorContent
{
    private readonly Lazy<float[]> _code = new(() => checkpoint.ReadAll(parts.Code));
    private readonly Lazy<(float[] AbsMax, float[] Code)> _nested = new(() =>
        parts.Nested is { } nested ? (checkpoint.ReadAll(nested.AbsMax), checkpoint.ReadAll(nested.Code)) : ([], []));

    public string Form => form;

    public void Read(long start, Span<float> destination)
    {
        var packed = checkpoint.Elements<byte>(parts.Packed);
        var scales = checkpoint.Elements<byte>(parts.AbsMax);
        var code = _code.Value;
        for (var done = 0; done < destination.Length;)
        {
            var number = (int)((start + done) / block);
            var count = (int)Math.Min((number + 1L) * block - start - done, destination.Length - done);
            var scale = Scale(scales, number);
            for (var i = 0; i < count; i++)
            {
                var at = start + done + i;
                var pair = packed[(int)(at / 2)];
                destination[done + i] = code[at % 2 == 0 ? pair >> 4 : pair & 15] * scale;
            }

            done += count;
        }
    }

    private float Scale(ReadOnlySpan<byte> scales, int block)
    {
        if (parts.Nested is null)
            return MemoryMarshal.Cast<byte, float>(scales)[block];
        var (absMax, code) = _nested.Value;
        return code[scales[block]] * absMax[block / nestedBlock] + nestedOffset;
    }
}
