using System.IO.Hashing;

namespace MergeKit.Core.Checkpoints.Writing;

/// <summary>A tensor's checksum that can be formed in any order: the sum, modulo 2^64, of XXH3 of each block of its bytes, seeded with
/// the block's number. Guards against disks and bugs, not against forgers: the manifest's SHA-256 is for that.</summary>
public static class BlockChecksum
{
    /// <summary>Elements of one block; parts handed in must begin at a block's start.</summary>
    public const int Elements = 16384;

    /// <summary>The contribution of some whole blocks (the last one of a tensor may be short).</summary>
    /// <param name="bytes">Stored elements.</param>
    /// <param name="firstElement">Index of the first of them in the tensor; a multiple of <see cref="Elements"/>.</param>
    /// <param name="elementSize">Bytes of one.</param>
    public static ulong Of(ReadOnlySpan<byte> bytes, long firstElement, int elementSize)
    {
        if (firstElement % Elements != 0)
            throw new ArgumentException($"element {firstElement} does not begin a block of {Elements}", nameof(firstElement));
        var (sum, block, step) = (0UL, firstElement / Elements, Elements * elementSize);
        for (var i = 0; i < bytes.Length; i += step)
            sum = unchecked(sum + XxHash3.HashToUInt64(bytes.Slice(i, Math.Min(step, bytes.Length - i)), block++));
        return sum;
    }
}
