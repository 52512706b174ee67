using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace MergeKit.Core.Numerics;

/// <summary>Arithmetic on rows of float32 elements where float32 sums would be too coarse.</summary>
public static partial class TensorMath
{
    /// <summary>sum_i x_i y_i in double precision: products are exact, sums run in 32 lanes, so the bits depend on the elements and their
    /// number alone.</summary>
    /// <param name="x">The first row.</param>
    /// <param name="y">The second row, at least as long.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static double Dot(ReadOnlySpan<float> x, ReadOnlySpan<float> y)
    {
        y = y[..x.Length];
        ref var left = ref MemoryMarshal.GetReference(x);
        ref var right = ref MemoryMarshal.GetReference(y);
        var (a, b, c, d) = (Vector512<double>.Zero, Vector512<double>.Zero, Vector512<double>.Zero, Vector512<double>.Zero);
        var i = 0;
        for (; i <= x.Length - 2 * Vector512<float>.Count; i += 2 * Vector512<float>.Count)
        {
            var (x0, x1) = Vector512.Widen(Vector512.LoadUnsafe(ref left, (nuint)i));
            var (y0, y1) = Vector512.Widen(Vector512.LoadUnsafe(ref right, (nuint)i));
            var (x2, x3) = Vector512.Widen(Vector512.LoadUnsafe(ref left, (nuint)(i + Vector512<float>.Count)));
            var (y2, y3) = Vector512.Widen(Vector512.LoadUnsafe(ref right, (nuint)(i + Vector512<float>.Count)));
            a += x0 * y0;
            b += x1 * y1;
            c += x2 * y2;
            d += x3 * y3;
        }

        var sum = SumOfLanes(a, b, c, d);
        for (; i < x.Length; i++)
            sum += (double)x[i] * y[i];
        return sum;
    }

    /// <summary>a + b + (c + d) of each of eight lanes, the lanes in order.</summary>
    private static double SumOfLanes(Vector512<double> a, Vector512<double> b, Vector512<double> c, Vector512<double> d)
    {
        var sum = 0.0;
        for (var lane = 0; lane < Vector512<double>.Count; lane++)
            sum += a[lane] + b[lane] + (c[lane] + d[lane]);
        return sum;
    }
}
