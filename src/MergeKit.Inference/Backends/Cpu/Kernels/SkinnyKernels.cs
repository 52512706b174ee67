using System.Runtime.CompilerServices;

namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>
/// Dot products of one, two or four rows of x with four rows of weights. All three add in the same order: lane by lane along the inputs, then across the lanes,
/// then the inputs beyond the last full vector.
/// </summary>
internal static unsafe class SkinnyKernels
{
    /// <summary><c>sums[4 t + r] = x[t] . w[r]</c> for one row of x.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void OneToken<TLanes, TVector, TDecoder>(float* x, nint columns, byte* w0, byte* w1, byte* w2, byte* w3, float* sums)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct
        where TDecoder : struct, IWeightDecoder
    {
        TVector s00 = TLanes.Create(0), s01 = TLanes.Create(0), s02 = TLanes.Create(0), s03 = TLanes.Create(0);
        nint i = 0;
        for (; i + TLanes.Count <= columns; i += TLanes.Count)
        {
            var at = i * TDecoder.Size;
            var v0 = TDecoder.Load<TLanes, TVector>(w0 + at);
            var v1 = TDecoder.Load<TLanes, TVector>(w1 + at);
            var v2 = TDecoder.Load<TLanes, TVector>(w2 + at);
            var v3 = TDecoder.Load<TLanes, TVector>(w3 + at);
            var a0 = TLanes.Load(x + i);
            s00 = TLanes.MultiplyAdd(a0, v0, s00);
            s01 = TLanes.MultiplyAdd(a0, v1, s01);
            s02 = TLanes.MultiplyAdd(a0, v2, s02);
            s03 = TLanes.MultiplyAdd(a0, v3, s03);
        }

        Finish<TLanes, TVector, TDecoder>(x, i, columns, w0, w1, w2, w3, s00, s01, s02, s03, sums);
    }

    /// <summary><c>sums[4 t + r] = x[t] . w[r]</c> for two rows of x.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void TwoTokens<TLanes, TVector, TDecoder>(float* x, nint columns, byte* w0, byte* w1, byte* w2, byte* w3, float* sums)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct
        where TDecoder : struct, IWeightDecoder
    {
        TVector s00 = TLanes.Create(0), s01 = TLanes.Create(0), s02 = TLanes.Create(0), s03 = TLanes.Create(0);
        TVector s10 = TLanes.Create(0), s11 = TLanes.Create(0), s12 = TLanes.Create(0), s13 = TLanes.Create(0);
        float* x1 = x + columns;
        nint i = 0;
        for (; i + TLanes.Count <= columns; i += TLanes.Count)
        {
            var at = i * TDecoder.Size;
            var v0 = TDecoder.Load<TLanes, TVector>(w0 + at);
            var v1 = TDecoder.Load<TLanes, TVector>(w1 + at);
            var v2 = TDecoder.Load<TLanes, TVector>(w2 + at);
            var v3 = TDecoder.Load<TLanes, TVector>(w3 + at);
            var a0 = TLanes.Load(x + i);
            s00 = TLanes.MultiplyAdd(a0, v0, s00);
            s01 = TLanes.MultiplyAdd(a0, v1, s01);
            s02 = TLanes.MultiplyAdd(a0, v2, s02);
            s03 = TLanes.MultiplyAdd(a0, v3, s03);
            var a1 = TLanes.Load(x1 + i);
            s10 = TLanes.MultiplyAdd(a1, v0, s10);
            s11 = TLanes.MultiplyAdd(a1, v1, s11);
            s12 = TLanes.MultiplyAdd(a1, v2, s12);
            s13 = TLanes.MultiplyAdd(a1, v3, s13);
        }

        Finish<TLanes, TVector, TDecoder>(x, i, columns, w0, w1, w2, w3, s00, s01, s02, s03, sums);
        Finish<TLanes, TVector, TDecoder>(x1, i, columns, w0, w1, w2, w3, s10, s11, s12, s13, sums + 4);
    }

    /// <summary><c>sums[4 t + r] = x[t] . w[r]</c> for four rows of x.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void FourTokens<TLanes, TVector, TDecoder>(float* x, nint columns, byte* w0, byte* w1, byte* w2, byte* w3, float* sums)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct
        where TDecoder : struct, IWeightDecoder
    {
        TVector s00 = TLanes.Create(0), s01 = TLanes.Create(0), s02 = TLanes.Create(0), s03 = TLanes.Create(0);
        TVector s10 = TLanes.Create(0), s11 = TLanes.Create(0), s12 = TLanes.Create(0), s13 = TLanes.Create(0);
        TVector s20 = TLanes.Create(0), s21 = TLanes.Create(0), s22 = TLanes.Create(0), s23 = TLanes.Create(0);
        TVector s30 = TLanes.Create(0), s31 = TLanes.Create(0), s32 = TLanes.Create(0), s33 = TLanes.Create(0);
        float* x1 = x + columns;
        float* x2 = x1 + columns;
        float* x3 = x2 + columns;
        nint i = 0;
        for (; i + TLanes.Count <= columns; i += TLanes.Count)
        {
            var at = i * TDecoder.Size;
            var v0 = TDecoder.Load<TLanes, TVector>(w0 + at);
            var v1 = TDecoder.Load<TLanes, TVector>(w1 + at);
            var v2 = TDecoder.Load<TLanes, TVector>(w2 + at);
            var v3 = TDecoder.Load<TLanes, TVector>(w3 + at);
            var a0 = TLanes.Load(x + i);
            s00 = TLanes.MultiplyAdd(a0, v0, s00);
            s01 = TLanes.MultiplyAdd(a0, v1, s01);
            s02 = TLanes.MultiplyAdd(a0, v2, s02);
            s03 = TLanes.MultiplyAdd(a0, v3, s03);
            var a1 = TLanes.Load(x1 + i);
            s10 = TLanes.MultiplyAdd(a1, v0, s10);
            s11 = TLanes.MultiplyAdd(a1, v1, s11);
            s12 = TLanes.MultiplyAdd(a1, v2, s12);
            s13 = TLanes.MultiplyAdd(a1, v3, s13);
            var a2 = TLanes.Load(x2 + i);
            s20 = TLanes.MultiplyAdd(a2, v0, s20);
            s21 = TLanes.MultiplyAdd(a2, v1, s21);
            s22 = TLanes.MultiplyAdd(a2, v2, s22);
            s23 = TLanes.MultiplyAdd(a2, v3, s23);
            var a3 = TLanes.Load(x3 + i);
            s30 = TLanes.MultiplyAdd(a3, v0, s30);
            s31 = TLanes.MultiplyAdd(a3, v1, s31);
            s32 = TLanes.MultiplyAdd(a3, v2, s32);
            s33 = TLanes.MultiplyAdd(a3, v3, s33);
        }

        Finish<TLanes, TVector, TDecoder>(x, i, columns, w0, w1, w2, w3, s00, s01, s02, s03, sums);
        Finish<TLanes, TVector, TDecoder>(x1, i, columns, w0, w1, w2, w3, s10, s11, s12, s13, sums + 4);
        Finish<TLanes, TVector, TDecoder>(x2, i, columns, w0, w1, w2, w3, s20, s21, s22, s23, sums + 8);
        Finish<TLanes, TVector, TDecoder>(x3, i, columns, w0, w1, w2, w3, s30, s31, s32, s33, sums + 12);
    }

    private static void Finish<TLanes, TVector, TDecoder>(
        float* x, nint start, nint columns, byte* w0, byte* w1, byte* w2, byte* w3, TVector s0, TVector s1, TVector s2, TVector s3, float* sums)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct
        where TDecoder : struct, IWeightDecoder
    {
        float r0 = TLanes.Sum(s0), r1 = TLanes.Sum(s1), r2 = TLanes.Sum(s2), r3 = TLanes.Sum(s3);
        for (var i = start; i < columns; i++)
        {
            var at = i * TDecoder.Size;
            r0 = MathF.FusedMultiplyAdd(x[i], TDecoder.LoadOne(w0 + at), r0);
            r1 = MathF.FusedMultiplyAdd(x[i], TDecoder.LoadOne(w1 + at), r1);
            r2 = MathF.FusedMultiplyAdd(x[i], TDecoder.LoadOne(w2 + at), r2);
            r3 = MathF.FusedMultiplyAdd(x[i], TDecoder.LoadOne(w3 + at), r3);
        }

        sums[0] = r0;
        sums[1] = r1;
        sums[2] = r2;
        sums[3] = r3;
    }
}
