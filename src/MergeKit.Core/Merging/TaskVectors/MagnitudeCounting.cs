using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace MergeKit.Core.Merging.TaskVectors;

/// <summary>Vectorised counting of the magnitudes |value - origin| by their float32 bits, without writing the differences down.</summary>
internal static class MagnitudeCounting
{
    private const uint Magnitude = 0x7FFFFFFF;

    /// <summary>The magnitude bits of one difference.</summary>
    public static uint BitsOf(float value, float origin) => BitConverter.SingleToUInt32Bits(value - origin) & Magnitude;

    /// <summary>How many magnitudes are at or above <paramref name="end"/>, and how many equal <paramref name="single"/>; the others in
    /// [low, end) are added to the histogram of 2^shift wide buckets, atomically.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static (int Above, int Equal) Count(
        ReadOnlySpan<float> values, ReadOnlySpan<float> origin, uint low, uint end, uint single, int shift, Span<long> histogram)
    {
        origin = origin[..values.Length];
        ref var from = ref MemoryMarshal.GetReference(values);
        ref var minus = ref MemoryMarshal.GetReference(origin);
        var (mask, lows, width) = (Vector512.Create(Magnitude), Vector512.Create(low), Vector512.Create(end - low));
        var (above, equal, i) = (0, 0, 0);
        for (; i <= values.Length - Vector512<uint>.Count; i += Vector512<uint>.Count)
        {
            var magnitude = (Vector512.LoadUnsafe(ref from, (nuint)i) - Vector512.LoadUnsafe(ref minus, (nuint)i)).AsUInt32() & mask;
            above += BitOperations.PopCount(Vector512.GreaterThanOrEqual(magnitude, Vector512.Create(end)).ExtractMostSignificantBits());
            var same = Vector512.Equals(magnitude, Vector512.Create(single)).ExtractMostSignificantBits();
            equal += BitOperations.PopCount(same);
            var inside = Vector512.LessThan(magnitude - lows, width).ExtractMostSignificantBits() & ~same;
            for (; inside != 0; inside &= inside - 1)
            {
                var at = i + BitOperations.TrailingZeroCount(inside);
                Interlocked.Increment(ref histogram[(int)((BitsOf(values[at], origin[at]) - low) >> shift)]);
            }
        }

        for (; i < values.Length; i++)
        {
            var magnitude = BitsOf(values[i], origin[i]);
            if (magnitude >= end)
                above++;
            else if (magnitude == single)
                equal++;
            else if (magnitude >= low)
                Interlocked.Increment(ref histogram[(int)((magnitude - low) >> shift)]);
        }

        return (above, equal);
    }
}
