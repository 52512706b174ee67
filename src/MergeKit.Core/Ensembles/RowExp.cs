using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace MergeKit.Core.Ensembles;

/// <summary>Exponentials of rows, none of them above 0: in single precision fused into one loop over vectors, to about 2e-7 of the result; in double precision
/// by the library.</summary>
internal static class RowExp
{
    /// <summary>sum e^(x - shift) over a block; NaN and plus infinity must not be in it.</summary>
    /// <param name="x">At most <see cref="RowMath.Block"/> values.</param>
    /// <param name="shift">At least the largest of them.</param>
    [SkipLocalsInit]
    public static double Sum<T>(ReadOnlySpan<T> x, double shift)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        if (typeof(T) == typeof(float))
            return Sum(MemoryMarshal.Cast<T, float>(x), (float)shift);
        Span<T> scratch = stackalloc T[RowMath.Block];
        var shifted = scratch[..x.Length];
        TensorPrimitives.Subtract(x, T.CreateChecked(shift), shifted);
        TensorPrimitives.Exp<T>(shifted, shifted);
        return double.CreateChecked(TensorPrimitives.Sum<T>(shifted));
    }

    /// <summary>sum += e^(x + offset - shift), element by element.</summary>
    [SkipLocalsInit]
    public static void Accumulate<T>(ReadOnlySpan<T> x, T offset, ReadOnlySpan<T> shift, Span<T> sum)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        if (typeof(T) == typeof(float))
        {
            Accumulate(MemoryMarshal.Cast<T, float>(x), float.CreateChecked(offset), MemoryMarshal.Cast<T, float>(shift), MemoryMarshal.Cast<T, float>(sum));
            return;
        }

        Span<T> scratch = stackalloc T[RowMath.Block];
        var term = scratch[..x.Length];
        TensorPrimitives.Add(x, offset, term);
        TensorPrimitives.Subtract<T>(term, shift, term);
        TensorPrimitives.Exp<T>(term, term);
        TensorPrimitives.Add<T>(sum, term, sum);
    }

    private static double Sum(ReadOnlySpan<float> x, float shift)
    {
        var (width, i) = (Vector<float>.Count, 0);
        var (first, second, by) = (Vector<float>.Zero, Vector<float>.Zero, new Vector<float>(shift));
        for (; i <= x.Length - (2 * width); i += 2 * width)
        {
            first += Exp(new Vector<float>(x[i..]) - by);
            second += Exp(new Vector<float>(x[(i + width)..]) - by);
        }

        var sum = (double)Vector.Sum(first + second);
        for (; i < x.Length; i++)
            sum += Math.Exp((double)x[i] - shift);
        return sum;
    }

    private static void Accumulate(ReadOnlySpan<float> x, float offset, ReadOnlySpan<float> shift, Span<float> sum)
    {
        var (width, i, by) = (Vector<float>.Count, 0, new Vector<float>(offset));
        for (; i <= x.Length - width; i += width)
            (new Vector<float>(sum[i..]) + Exp(new Vector<float>(x[i..]) + by - new Vector<float>(shift[i..]))).CopyTo(sum[i..]);
        for (; i < x.Length; i++)
            sum[i] += MathF.Exp(x[i] + offset - shift[i]);
    }

    /// <summary>e^x for x up to about 0; 0 below -87. 2^n times a minimax polynomial of the rest.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector<float> Exp(Vector<float> x)
    {
        var lowest = new Vector<float>(-87f);
        var clamped = Vector.Max(x, lowest);
        var n = Vector.Round(clamped * 1.44269504f);
        var r = clamped - (n * 0.693359375f) + (n * 2.12194440e-4f);
        var p = (r * 0.001392625083f) + new Vector<float>(0.008363232884f);
        p = (p * r) + new Vector<float>(0.04166655421f);
        p = (p * r) + new Vector<float>(0.1666657667f);
        p = (p * r) + new Vector<float>(0.5f);
        p = (p * r) + Vector<float>.One;
        p = (p * r) + Vector<float>.One;
        var power = Vector.AsVectorSingle((Vector.ConvertToInt32(n) + new Vector<int>(127)) << 23);
        return Vector.ConditionalSelect(Vector.LessThan(x, lowest), Vector<float>.Zero, p * power);
    }
}
