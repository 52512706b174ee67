using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace MergeKit.Core.Merging.TaskVectors;

/// <summary>Vectorised counting of float32 magnitudes by their bits.</summary>
internal static class MagnitudeCounting
{
    private const uint Magnitude = 0x7FFFFFFF;

    /// <summary>How many magnitudes are at or above <paramref name="end"/>; those in [low, end) are added to the histogram of
    /// 2^shift wide buckets, atomically.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static long CountAndBucket(ReadOnlySpan<uint> bits, uint low, uint end, int shift, uint[] histogram)
    {
        ref var from = ref MemoryMarshal.GetReference(bits);
        var (mask, lows, width) = (Vector512.Create(Magnitude), Vector512.Create(low), Vector512.Create(end - low));
        var (above, i) = (0L, 0);
        for (; i <= bits.Length - Vector512<uint>.Count; i += Vector512<uint>.Count)
        {
            var magnitude = Vector512.LoadUnsafe(ref from, (nuint)i) & mask;
            above += BitOperations.PopCount(Vector512.GreaterThanOrEqual(magnitude, Vector512.Create(end)).ExtractMostSignificantBits());
            var inside = Vector512.LessThan(magnitude - lows, width).ExtractMostSignificantBits();
            for (; inside != 0; inside &= inside - 1)
                AddOne(histogram, ((bits[i + BitOperations.TrailingZeroCount(inside)] & Magnitude) - low) >> shift);
        }

        for (; i < bits.Length; i++)
        {
            var magnitude = bits[i] & Magnitude;
            if (magnitude >= end)
                above++;
            else if (magnitude >= low)
                AddOne(histogram, (magnitude - low) >> shift);
        }

        return above;
    }

    /// <summary>How many magnitudes equal <paramref name="value"/>.</summary>
    public static int CountEqual(ReadOnlySpan<uint> bits, uint value)
    {
        ref var from = ref MemoryMarshal.GetReference(bits);
        var (count, i) = (0, 0);
        for (; i <= bits.Length - Vector512<uint>.Count; i += Vector512<uint>.Count)
        {
            var magnitude = Vector512.LoadUnsafe(ref from, (nuint)i) & Vector512.Create(Magnitude);
            count += BitOperations.PopCount(Vector512.Equals(magnitude, Vector512.Create(value)).ExtractMostSignificantBits());
        }

        for (; i < bits.Length; i++)
            count += (bits[i] & Magnitude) == value ? 1 : 0;
        return count;
    }

    private static void AddOne(uint[] histogram, uint bucket) => Interlocked.Increment(ref histogram[bucket]);
}
