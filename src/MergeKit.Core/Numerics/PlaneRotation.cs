using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace MergeKit.Core.Numerics;

/// <summary>The two inner loops of Jacobi's method on a pair of rows.</summary>
internal static class PlaneRotation
{
    /// <summary>x.x, y.y and x.y in one pass.</summary>
    public static (double XX, double YY, double XY) Products(ReadOnlySpan<double> x, ReadOnlySpan<double> y)
    {
        ref var a = ref MemoryMarshal.GetReference(x);
        ref var b = ref MemoryMarshal.GetReference(y);
        var (xx, yy, xy) = (Vector512<double>.Zero, Vector512<double>.Zero, Vector512<double>.Zero);
        var (xx2, yy2, xy2) = (xx, yy, xy);
        var i = 0;
        for (; i <= x.Length - 2 * Vector512<double>.Count; i += 2 * Vector512<double>.Count)
        {
            var (p, q) = (Vector512.LoadUnsafe(ref a, (nuint)i), Vector512.LoadUnsafe(ref b, (nuint)i));
            var (r, s) = (Vector512.LoadUnsafe(ref a, (nuint)(i + Vector512<double>.Count)), Vector512.LoadUnsafe(ref b, (nuint)(i + Vector512<double>.Count)));
            xx = Vector512.FusedMultiplyAdd(p, p, xx);
            yy = Vector512.FusedMultiplyAdd(q, q, yy);
            xy = Vector512.FusedMultiplyAdd(p, q, xy);
            xx2 = Vector512.FusedMultiplyAdd(r, r, xx2);
            yy2 = Vector512.FusedMultiplyAdd(s, s, yy2);
            xy2 = Vector512.FusedMultiplyAdd(r, s, xy2);
        }

        var (sumX, sumY, sumXY) = (Vector512.Sum(xx + xx2), Vector512.Sum(yy + yy2), Vector512.Sum(xy + xy2));
        for (; i < x.Length; i++)
            (sumX, sumY, sumXY) = (sumX + x[i] * x[i], sumY + y[i] * y[i], sumXY + x[i] * y[i]);
        return (sumX, sumY, sumXY);
    }

    /// <summary>(x, y) becomes (c x - s y, s x + c y).</summary>
    public static void Turn(Span<double> x, Span<double> y, double cosine, double sine)
    {
        ref var a = ref MemoryMarshal.GetReference(x);
        ref var b = ref MemoryMarshal.GetReference(y);
        var (c, s) = (Vector512.Create(cosine), Vector512.Create(sine));
        var i = 0;
        for (; i <= x.Length - Vector512<double>.Count; i += Vector512<double>.Count)
        {
            var (p, q) = (Vector512.LoadUnsafe(ref a, (nuint)i), Vector512.LoadUnsafe(ref b, (nuint)i));
            (c * p - s * q).StoreUnsafe(ref a, (nuint)i);
            (s * p + c * q).StoreUnsafe(ref b, (nuint)i);
        }

        for (; i < x.Length; i++)
            (x[i], y[i]) = (cosine * x[i] - sine * y[i], sine * x[i] + cosine * y[i]);
    }
}
