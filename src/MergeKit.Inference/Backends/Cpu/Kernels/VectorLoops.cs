using System.Runtime.CompilerServices;

namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>The loops behind <see cref="VectorOps"/>. What is left after the last full vector passes through a padded copy, so every element meets the same arithmetic.</summary>
internal static unsafe class VectorLoops<TLanes, TVector>
    where TLanes : struct, ILanes<TVector>
    where TVector : struct
{
    private const int LargestVector = 16;

    /// <summary>x = f(x).</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Map<TOperator>(float* x, int count)
        where TOperator : struct, IUnaryOperator
    {
        var i = 0;
        for (; i + TLanes.Count <= count; i += TLanes.Count)
            TLanes.Store(TOperator.Apply<TLanes, TVector>(TLanes.Load(x + i)), x + i);
        if (i == count)
            return;
        var rest = stackalloc float[LargestVector];
        TLanes.Store(TOperator.Apply<TLanes, TVector>(LoadPart(x + i, count - i, 0, rest)), rest);
        new Span<float>(rest, count - i).CopyTo(new Span<float>(x + i, count - i));
    }

    /// <summary>y = f(gate) up.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void MapGated<TOperator>(float* gate, float* up, float* y, int count)
        where TOperator : struct, IUnaryOperator
    {
        var i = 0;
        for (; i + TLanes.Count <= count; i += TLanes.Count)
            TLanes.Store(TLanes.Multiply(TOperator.Apply<TLanes, TVector>(TLanes.Load(gate + i)), TLanes.Load(up + i)), y + i);
        if (i == count)
            return;
        var rest = stackalloc float[LargestVector];
        var activated = TOperator.Apply<TLanes, TVector>(LoadPart(gate + i, count - i, 0, rest));
        TLanes.Store(TLanes.Multiply(activated, LoadPart(up + i, count - i, 0, rest)), rest);
        new Span<float>(rest, count - i).CopyTo(new Span<float>(y + i, count - i));
    }

    /// <summary>The sum of x.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Sum(float* x, int count)
    {
        TVector a = TLanes.Create(0), b = a;
        var i = 0;
        for (; i + (2 * TLanes.Count) <= count; i += 2 * TLanes.Count)
        {
            a = TLanes.Add(a, TLanes.Load(x + i));
            b = TLanes.Add(b, TLanes.Load(x + i + TLanes.Count));
        }

        var rest = stackalloc float[LargestVector];
        for (; i < count; i += TLanes.Count)
            a = TLanes.Add(a, LoadPart(x + i, count - i, 0, rest));
        return TLanes.Sum(TLanes.Add(a, b));
    }

    /// <summary>The sum of (x - center)^2.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float SumOfSquares(float* x, int count, float center)
    {
        TVector a = TLanes.Create(0), b = a, c = TLanes.Create(center);
        var i = 0;
        for (; i + (2 * TLanes.Count) <= count; i += 2 * TLanes.Count)
        {
            var first = TLanes.Subtract(TLanes.Load(x + i), c);
            var second = TLanes.Subtract(TLanes.Load(x + i + TLanes.Count), c);
            a = TLanes.MultiplyAdd(first, first, a);
            b = TLanes.MultiplyAdd(second, second, b);
        }

        var rest = stackalloc float[LargestVector];
        for (; i < count; i += TLanes.Count)
        {
            var first = TLanes.Subtract(LoadPart(x + i, count - i, center, rest), c);
            a = TLanes.MultiplyAdd(first, first, a);
        }

        return TLanes.Sum(TLanes.Add(a, b));
    }

    /// <summary>y = (x - center) scale weight + bias; bias may be null.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Normalize(float* x, float* weight, float* bias, float center, float scale, float* y, int count)
    {
        TVector c = TLanes.Create(center), s = TLanes.Create(scale);
        var i = 0;
        for (; i + TLanes.Count <= count; i += TLanes.Count)
        {
            var value = TLanes.Multiply(TLanes.Multiply(TLanes.Subtract(TLanes.Load(x + i), c), s), TLanes.Load(weight + i));
            TLanes.Store(bias == null ? value : TLanes.Add(value, TLanes.Load(bias + i)), y + i);
        }

        for (; i < count; i++)
            y[i] = ((x[i] - center) * scale * weight[i]) + (bias == null ? 0 : bias[i]);
    }

    /// <summary>The largest of x; unspecified if any is NaN; negative infinity for none.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Max(float* x, int count)
    {
        TVector a = TLanes.Create(float.NegativeInfinity), b = a;
        var i = 0;
        for (; i + (2 * TLanes.Count) <= count; i += 2 * TLanes.Count)
        {
            a = TLanes.Max(a, TLanes.Load(x + i));
            b = TLanes.Max(b, TLanes.Load(x + i + TLanes.Count));
        }

        var rest = stackalloc float[LargestVector];
        for (; i < count; i += TLanes.Count)
            a = TLanes.Max(a, LoadPart(x + i, count - i, float.NegativeInfinity, rest));
        return TLanes.MaxLane(TLanes.Max(a, b));
    }

    /// <summary>The sum of e^(x - shift), which is also written to y unless that is null.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float SumOfExponentials(float* x, int count, float shift, float* y)
    {
        TVector sum = TLanes.Create(0), c = TLanes.Create(shift);
        var i = 0;
        for (; i + TLanes.Count <= count; i += TLanes.Count)
        {
            var value = VectorMath<TLanes, TVector>.Exp(TLanes.Subtract(TLanes.Load(x + i), c));
            sum = TLanes.Add(sum, value);
            if (y != null)
                TLanes.Store(value, y + i);
        }

        if (i < count)
        {
            var rest = stackalloc float[LargestVector];
            var value = VectorMath<TLanes, TVector>.Exp(TLanes.Subtract(LoadPart(x + i, count - i, float.NegativeInfinity, rest), c));
            sum = TLanes.Add(sum, value);
            TLanes.Store(value, rest);
            if (y != null)
                new Span<float>(rest, count - i).CopyTo(new Span<float>(y + i, count - i));
        }

        return TLanes.Sum(sum);
    }

    /// <summary>x = factor x.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Scale(float* x, int count, float factor)
    {
        var f = TLanes.Create(factor);
        var i = 0;
        for (; i + TLanes.Count <= count; i += TLanes.Count)
            TLanes.Store(TLanes.Multiply(TLanes.Load(x + i), f), x + i);
        for (; i < count; i++)
            x[i] *= factor;
    }

    /// <summary>A vector of up to <paramref name="count"/> values, the rest filled; <paramref name="buffer"/> holds <see cref="LargestVector"/> floats.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TVector LoadPart(float* x, int count, float fill, float* buffer)
    {
        if (count >= TLanes.Count)
            return TLanes.Load(x);
        for (var i = 0; i < TLanes.Count; i++)
            buffer[i] = i < count ? x[i] : fill;
        return TLanes.Load(buffer);
    }
}
