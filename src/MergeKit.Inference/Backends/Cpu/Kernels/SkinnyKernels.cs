using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>
/// Dot products of one, two or four rows of x with consecutive rows of weights. Rows are read one after the other, because one long run
/// through memory is what processors foresee best, but for the next page (<see cref="Foresee"/>): asking for every line in advance, or
/// reading four rows at a time, made it slower. All three add in the same order: four sums per lane along the inputs, then the sums, then
/// the lanes, then the inputs beyond the last vector. x stands in the decoder's order (<see cref="IWeightDecoder.InPairs"/>) as far as
/// steps of four vectors go.
/// </summary>
internal static unsafe class SkinnyKernels
{
    /// <summary>Bytes of a page of memory, and how far in advance pages are asked for.</summary>
    private const int Page = 4096, Ahead = 8192;

    /// <summary>
    /// <c>y[t yStride + r] = x[t] . w[r] + beta y[t yStride + r]</c> for one row of x, densely packed, and <paramref name="rows"/> rows
    /// of weights.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void OneToken<TLanes, TVector, TDecoder>(
        float* x, nint columns, byte* w, nint strideBytes, nint rows, float* y, nint yStride, float beta)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct
        where TDecoder : struct, IWeightDecoder
    {
        var page = FirstPage(w);
        for (; rows > 0; rows--, w += strideBytes, y++)
        {
            TVector a0 = TLanes.Create(0), b0 = TLanes.Create(0), c0 = TLanes.Create(0), d0 = TLanes.Create(0);
            page = Foresee(page, w + strideBytes);
            nint i = 0;
            for (; i + (4 * TLanes.Count) <= columns; i += 4 * TLanes.Count)
            {
                TDecoder.LoadPair<TLanes, TVector>(w + (i * TDecoder.Size), out var w0, out var w1);
                a0 = TLanes.MultiplyAdd(w0, TLanes.Load(x + i), a0);
                b0 = TLanes.MultiplyAdd(w1, TLanes.Load(x + i + TLanes.Count), b0);
                TDecoder.LoadPair<TLanes, TVector>(w + ((i + (2 * TLanes.Count)) * TDecoder.Size), out var w2, out var w3);
                c0 = TLanes.MultiplyAdd(w2, TLanes.Load(x + i + (2 * TLanes.Count)), c0);
                d0 = TLanes.MultiplyAdd(w3, TLanes.Load(x + i + (3 * TLanes.Count)), d0);
            }

            for (; i + TLanes.Count <= columns; i += TLanes.Count)
            {
                var w0 = TDecoder.Load<TLanes, TVector>(w + (i * TDecoder.Size));
                a0 = TLanes.MultiplyAdd(w0, TLanes.Load(x + i), a0);
            }

            Finish<TLanes, TVector, TDecoder>(x, i, columns, w, a0, b0, c0, d0, y, beta);
        }
    }

    /// <summary>
    /// <c>y[t yStride + r] = x[t] . w[r] + beta y[t yStride + r]</c> for two rows of x, densely packed, and <paramref name="rows"/> rows
    /// of weights.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void TwoTokens<TLanes, TVector, TDecoder>(
        float* x, nint columns, byte* w, nint strideBytes, nint rows, float* y, nint yStride, float beta)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct
        where TDecoder : struct, IWeightDecoder
    {
        float* x0 = x, x1 = x0 + columns;
        var page = FirstPage(w);
        for (; rows > 0; rows--, w += strideBytes, y++)
        {
            TVector a0 = TLanes.Create(0), b0 = TLanes.Create(0), c0 = TLanes.Create(0), d0 = TLanes.Create(0);
            TVector a1 = TLanes.Create(0), b1 = TLanes.Create(0), c1 = TLanes.Create(0), d1 = TLanes.Create(0);
            page = Foresee(page, w + strideBytes);
            nint i = 0;
            for (; i + (4 * TLanes.Count) <= columns; i += 4 * TLanes.Count)
            {
                TDecoder.LoadPair<TLanes, TVector>(w + (i * TDecoder.Size), out var w0, out var w1);
                a0 = TLanes.MultiplyAdd(w0, TLanes.Load(x0 + i), a0);
                a1 = TLanes.MultiplyAdd(w0, TLanes.Load(x1 + i), a1);
                b0 = TLanes.MultiplyAdd(w1, TLanes.Load(x0 + i + TLanes.Count), b0);
                b1 = TLanes.MultiplyAdd(w1, TLanes.Load(x1 + i + TLanes.Count), b1);
                TDecoder.LoadPair<TLanes, TVector>(w + ((i + (2 * TLanes.Count)) * TDecoder.Size), out var w2, out var w3);
                c0 = TLanes.MultiplyAdd(w2, TLanes.Load(x0 + i + (2 * TLanes.Count)), c0);
                c1 = TLanes.MultiplyAdd(w2, TLanes.Load(x1 + i + (2 * TLanes.Count)), c1);
                d0 = TLanes.MultiplyAdd(w3, TLanes.Load(x0 + i + (3 * TLanes.Count)), d0);
                d1 = TLanes.MultiplyAdd(w3, TLanes.Load(x1 + i + (3 * TLanes.Count)), d1);
            }

            for (; i + TLanes.Count <= columns; i += TLanes.Count)
            {
                var w0 = TDecoder.Load<TLanes, TVector>(w + (i * TDecoder.Size));
                a0 = TLanes.MultiplyAdd(w0, TLanes.Load(x0 + i), a0);
                a1 = TLanes.MultiplyAdd(w0, TLanes.Load(x1 + i), a1);
            }

            Finish<TLanes, TVector, TDecoder>(x0, i, columns, w, a0, b0, c0, d0, y, beta);
            Finish<TLanes, TVector, TDecoder>(x1, i, columns, w, a1, b1, c1, d1, y + yStride, beta);
        }
    }

    /// <summary>
    /// <c>y[t yStride + r] = x[t] . w[r] + beta y[t yStride + r]</c> for four rows of x, densely packed, and <paramref name="rows"/> rows
    /// of weights.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void FourTokens<TLanes, TVector, TDecoder>(
        float* x, nint columns, byte* w, nint strideBytes, nint rows, float* y, nint yStride, float beta)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct
        where TDecoder : struct, IWeightDecoder
    {
        float* x0 = x, x1 = x0 + columns, x2 = x1 + columns, x3 = x2 + columns;
        var page = FirstPage(w);
        for (; rows > 0; rows--, w += strideBytes, y++)
        {
            TVector a0 = TLanes.Create(0), b0 = TLanes.Create(0), c0 = TLanes.Create(0), d0 = TLanes.Create(0);
            TVector a1 = TLanes.Create(0), b1 = TLanes.Create(0), c1 = TLanes.Create(0), d1 = TLanes.Create(0);
            TVector a2 = TLanes.Create(0), b2 = TLanes.Create(0), c2 = TLanes.Create(0), d2 = TLanes.Create(0);
            TVector a3 = TLanes.Create(0), b3 = TLanes.Create(0), c3 = TLanes.Create(0), d3 = TLanes.Create(0);
            page = Foresee(page, w + strideBytes);
            nint i = 0;
            for (; i + (4 * TLanes.Count) <= columns; i += 4 * TLanes.Count)
            {
                TDecoder.LoadPair<TLanes, TVector>(w + (i * TDecoder.Size), out var w0, out var w1);
                a0 = TLanes.MultiplyAdd(w0, TLanes.Load(x0 + i), a0);
                a1 = TLanes.MultiplyAdd(w0, TLanes.Load(x1 + i), a1);
                a2 = TLanes.MultiplyAdd(w0, TLanes.Load(x2 + i), a2);
                a3 = TLanes.MultiplyAdd(w0, TLanes.Load(x3 + i), a3);
                b0 = TLanes.MultiplyAdd(w1, TLanes.Load(x0 + i + TLanes.Count), b0);
                b1 = TLanes.MultiplyAdd(w1, TLanes.Load(x1 + i + TLanes.Count), b1);
                b2 = TLanes.MultiplyAdd(w1, TLanes.Load(x2 + i + TLanes.Count), b2);
                b3 = TLanes.MultiplyAdd(w1, TLanes.Load(x3 + i + TLanes.Count), b3);
                TDecoder.LoadPair<TLanes, TVector>(w + ((i + (2 * TLanes.Count)) * TDecoder.Size), out var w2, out var w3);
                c0 = TLanes.MultiplyAdd(w2, TLanes.Load(x0 + i + (2 * TLanes.Count)), c0);
                c1 = TLanes.MultiplyAdd(w2, TLanes.Load(x1 + i + (2 * TLanes.Count)), c1);
                c2 = TLanes.MultiplyAdd(w2, TLanes.Load(x2 + i + (2 * TLanes.Count)), c2);
                c3 = TLanes.MultiplyAdd(w2, TLanes.Load(x3 + i + (2 * TLanes.Count)), c3);
                d0 = TLanes.MultiplyAdd(w3, TLanes.Load(x0 + i + (3 * TLanes.Count)), d0);
                d1 = TLanes.MultiplyAdd(w3, TLanes.Load(x1 + i + (3 * TLanes.Count)), d1);
                d2 = TLanes.MultiplyAdd(w3, TLanes.Load(x2 + i + (3 * TLanes.Count)), d2);
                d3 = TLanes.MultiplyAdd(w3, TLanes.Load(x3 + i + (3 * TLanes.Count)), d3);
            }

            for (; i + TLanes.Count <= columns; i += TLanes.Count)
            {
                var w0 = TDecoder.Load<TLanes, TVector>(w + (i * TDecoder.Size));
                a0 = TLanes.MultiplyAdd(w0, TLanes.Load(x0 + i), a0);
                a1 = TLanes.MultiplyAdd(w0, TLanes.Load(x1 + i), a1);
                a2 = TLanes.MultiplyAdd(w0, TLanes.Load(x2 + i), a2);
                a3 = TLanes.MultiplyAdd(w0, TLanes.Load(x3 + i), a3);
            }

            Finish<TLanes, TVector, TDecoder>(x0, i, columns, w, a0, b0, c0, d0, y, beta);
            Finish<TLanes, TVector, TDecoder>(x1, i, columns, w, a1, b1, c1, d1, y + yStride, beta);
            Finish<TLanes, TVector, TDecoder>(x2, i, columns, w, a2, b2, c2, d2, y + (2 * yStride), beta);
            Finish<TLanes, TVector, TDecoder>(x3, i, columns, w, a3, b3, c3, d3, y + (3 * yStride), beta);
        }
    }

    /// <summary>The first page that a run of weights from here on asks for.</summary>
    private static byte* FirstPage(byte* w) => (byte*)(((nint)w + Ahead + Page - 1) & -Page);

    /// <summary>
    /// Asks for the first lines of every page up to 8 KB behind a row. A processor follows a run of lines within a page, but not into the
    /// next, whose address it has to look up first. Returns the page to go on with.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static byte* Foresee(byte* page, byte* end)
    {
        const int line = 64;
        if (Sse.IsSupported)
            for (end += Ahead; page < end; page += Page)
            {
                Sse.Prefetch0(page);
                Sse.Prefetch0(page + line);
                Sse.Prefetch0(page + (2 * line));
                Sse.Prefetch0(page + (3 * line));
            }

        return page;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish<TLanes, TVector, TDecoder>(
        float* x, nint start, nint columns, byte* w, TVector a, TVector b, TVector c, TVector d, float* y, float beta)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct
        where TDecoder : struct, IWeightDecoder
    {
        var sum = TLanes.Sum(TLanes.Add(TLanes.Add(a, b), TLanes.Add(c, d)));
        for (var i = start; i < columns; i++)
            sum = MathF.FusedMultiplyAdd(x[i], TDecoder.LoadOne(w + (i * TDecoder.Size)), sum);
        *y = beta == 0 ? sum : MathF.FusedMultiplyAdd(beta, *y, sum);
    }
}
