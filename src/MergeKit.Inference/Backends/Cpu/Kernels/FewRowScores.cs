using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>
/// Scores of a few rows of queries against keys where they lie: four keys at a time, so that their lanes are summed together. Every score
/// is added up in the same order, whatever stands beside it.
/// </summary>
internal static unsafe class FewRowScores<TLanes, TVector>
    where TLanes : struct, ILanes<TVector>
    where TVector : struct
{
    /// <summary><c>s[row KeyBlock + j] = q[row] . k[j]</c>; up to three places after the last key are written too, but none beyond the block.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run(float* q, nint depth, int rows, float* k, nint stride, int keys, float* s)
    {
        for (var key = 0; key < keys; key += 4, k += 4 * stride)
        {
            // The last key stands in for those that are missing.
            nint last = Math.Min(3, keys - key - 1);
            float* k1 = k + (Math.Min(1, last) * stride), k2 = k + (Math.Min(2, last) * stride), k3 = k + (last * stride);
            var row = 0;
            for (; row + 2 <= rows; row += 2)
                Two(q + (row * depth), depth, k, k1, k2, k3, s + (row * AttentionScratch.KeyBlock) + key);
            if (row < rows)
                One(q + (row * depth), depth, k, k1, k2, k3, s + (row * AttentionScratch.KeyBlock) + key);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void One(float* q, nint depth, float* k0, float* k1, float* k2, float* k3, float* s)
    {
        TVector a = TLanes.Create(0), b = TLanes.Create(0), c = TLanes.Create(0), d = TLanes.Create(0);
        nint i = 0;
        for (; i + TLanes.Count <= depth; i += TLanes.Count)
        {
            var x = TLanes.Load(q + i);
            a = TLanes.MultiplyAdd(x, TLanes.Load(k0 + i), a);
            b = TLanes.MultiplyAdd(x, TLanes.Load(k1 + i), b);
            c = TLanes.MultiplyAdd(x, TLanes.Load(k2 + i), c);
            d = TLanes.MultiplyAdd(x, TLanes.Load(k3 + i), d);
        }

        Finish(TLanes.SumFour(a, b, c, d), q, i, depth, k0, k1, k2, k3, s);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Two(float* q, nint depth, float* k0, float* k1, float* k2, float* k3, float* s)
    {
        TVector a = TLanes.Create(0), b = TLanes.Create(0), c = TLanes.Create(0), d = TLanes.Create(0);
        TVector e = TLanes.Create(0), f = TLanes.Create(0), g = TLanes.Create(0), h = TLanes.Create(0);
        nint i = 0;
        for (; i + TLanes.Count <= depth; i += TLanes.Count)
        {
            TVector x = TLanes.Load(q + i), y = TLanes.Load(q + depth + i);
            TVector w0 = TLanes.Load(k0 + i), w1 = TLanes.Load(k1 + i), w2 = TLanes.Load(k2 + i), w3 = TLanes.Load(k3 + i);
            a = TLanes.MultiplyAdd(x, w0, a);
            b = TLanes.MultiplyAdd(x, w1, b);
            c = TLanes.MultiplyAdd(x, w2, c);
            d = TLanes.MultiplyAdd(x, w3, d);
            e = TLanes.MultiplyAdd(y, w0, e);
            f = TLanes.MultiplyAdd(y, w1, f);
            g = TLanes.MultiplyAdd(y, w2, g);
            h = TLanes.MultiplyAdd(y, w3, h);
        }

        Finish(TLanes.SumFour(a, b, c, d), q, i, depth, k0, k1, k2, k3, s);
        Finish(TLanes.SumFour(e, f, g, h), q + depth, i, depth, k0, k1, k2, k3, s + AttentionScratch.KeyBlock);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish(Vector128<float> sums, float* q, nint start, nint depth, float* k0, float* k1, float* k2, float* k3, float* s)
    {
        for (var i = start; i < depth; i++)
            sums += q[i] * Vector128.Create(k0[i], k1[i], k2[i], k3[i]);
        sums.Store(s);
    }
}
