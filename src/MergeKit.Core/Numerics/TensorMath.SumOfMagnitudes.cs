using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace MergeKit.Core.Numerics;

public static partial class TensorMath
{
    /// <summary>sum_i |x_i| in double precision, in the order of <see cref="Dot"/>: 32 lanes, then a + b + (c + d) of their eights, then the rest.</summary>
    /// <param name="x">The row.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static double SumOfMagnitudes(ReadOnlySpan<float> x)
    {
        ref var from = ref MemoryMarshal.GetReference(x);
        var (a, b, c, d) = (Vector512<double>.Zero, Vector512<double>.Zero, Vector512<double>.Zero, Vector512<double>.Zero);
        var i = 0;
        for (; i <= x.Length - 2 * Vector512<float>.Count; i += 2 * Vector512<float>.Count)
        {
            var (x0, x1) = Vector512.Widen(Vector512.Abs(Vector512.LoadUnsafe(ref from, (nuint)i)));
            var (x2, x3) = Vector512.Widen(Vector512.Abs(Vector512.LoadUnsafe(ref from, (nuint)(i + Vector512<float>.Count))));
            a += x0;
            b += x1;
            c += x2;
            d += x3;
        }

        var sum = SumOfLanes(a, b, c, d);
        for (; i < x.Length; i++)
            sum += Math.Abs(x[i]);
        return sum;
    }
}
