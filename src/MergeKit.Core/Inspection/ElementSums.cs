using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace MergeKit.Core.Inspection;

/// <summary>Vectorised statistics of float32 elements; sums in double precision. Tails are padded with values that change nothing.</summary>
internal static class ElementSums
{
    private const int Lanes = 16;

    /// <summary>Statistics of one range.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static TensorStatistics Of(ReadOnlySpan<float> values)
    {
        ref var from = ref MemoryMarshal.GetReference(values);
        var (sum, squares) = (Vector512<double>.Zero, Vector512<double>.Zero);
        var (min, max) = (Vector512.Create(float.PositiveInfinity), Vector512.Create(float.NegativeInfinity));
        var (finites, nans, zeros) = (0L, 0L, 0L);
        for (var i = 0; i < values.Length; i += Lanes)
        {
            var inside = values.Length - i >= Lanes;
            var value = inside ? Vector512.LoadUnsafe(ref from, (nuint)i) : Tail(values[i..]);
            var used = inside ? Vector512<float>.AllBitsSet : Mask(values.Length - i);
            var finite = Finite(value) & used;
            finites += Ones(finite);
            nans += Ones(~Vector512.Equals(value, value) & used);
            zeros += Ones(Vector512.Equals(value, Vector512<float>.Zero) & used);
            min = Vector512.Min(min, Vector512.ConditionalSelect(finite, value, Vector512.Create(float.PositiveInfinity)));
            max = Vector512.Max(max, Vector512.ConditionalSelect(finite, value, Vector512.Create(float.NegativeInfinity)));
            var (low, high) = Vector512.Widen(value & finite);
            sum += low + high;
            squares += low * low + high * high;
        }

        var (least, most) = (float.PositiveInfinity, float.NegativeInfinity);
        for (var lane = 0; lane < Lanes; lane++)
            (least, most) = (Math.Min(least, min[lane]), Math.Max(most, max[lane]));
        return new TensorStatistics(values.Length, nans, values.Length - finites - nans, zeros, Vector512.Sum(sum), Vector512.Sum(squares), least, most);
    }

    /// <summary>The difference of two ranges of equal length.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static TensorDifference Between(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        b = b[..a.Length];
        ref var fromA = ref MemoryMarshal.GetReference(a);
        ref var fromB = ref MemoryMarshal.GetReference(b);
        var (delta, dot, squaresA, squaresB) = (Vector512<double>.Zero, Vector512<double>.Zero, Vector512<double>.Zero, Vector512<double>.Zero);
        var (compared, agree, equal) = (0L, 0L, 0L);
        for (var i = 0; i < a.Length; i += Lanes)
        {
            var inside = a.Length - i >= Lanes;
            var x = inside ? Vector512.LoadUnsafe(ref fromA, (nuint)i) : Tail(a[i..]);
            var y = inside ? Vector512.LoadUnsafe(ref fromB, (nuint)i) : Tail(b[i..]);
            var used = Finite(x) & Finite(y) & (inside ? Vector512<float>.AllBitsSet : Mask(a.Length - i));
            (x, y) = (x & used, y & used);
            var same = Vector512.Equals(x, y);
            var bothUp = Vector512.GreaterThan(x, Vector512<float>.Zero) & Vector512.GreaterThan(y, Vector512<float>.Zero);
            var bothDown = Vector512.LessThan(x, Vector512<float>.Zero) & Vector512.LessThan(y, Vector512<float>.Zero);
            compared += Ones(used);
            equal += Ones(same & used);
            agree += Ones((same | bothUp | bothDown) & used);
            var ((xl, xh), (yl, yh)) = (Vector512.Widen(x), Vector512.Widen(y));
            delta += (xl - yl) * (xl - yl) + (xh - yh) * (xh - yh);
            dot += xl * yl + xh * yh;
            squaresA += xl * xl + xh * xh;
            squaresB += yl * yl + yh * yh;
        }

        return new TensorDifference(compared, Vector512.Sum(delta), Vector512.Sum(dot), Vector512.Sum(squaresA), Vector512.Sum(squaresB), agree, equal);
    }

    private static Vector512<float> Tail(ReadOnlySpan<float> rest)
    {
        Span<float> padded = stackalloc float[Lanes];
        padded.Clear();
        rest.CopyTo(padded);
        return Vector512.Create<float>(padded);
    }

    /// <summary>All bits set in the first <paramref name="count"/> lanes.</summary>
    private static Vector512<float> Mask(int count) => Vector512.LessThan(Vector512<int>.Indices, Vector512.Create(count)).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Finite(Vector512<float> value) =>
        Vector512.LessThan(value.AsUInt32() & Vector512.Create(0x7FFFFFFFu), Vector512.Create(0x7F800000u)).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Ones(Vector512<float> mask) => BitOperations.PopCount(mask.ExtractMostSignificantBits());
}
