using System.Runtime.CompilerServices;

namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>
/// 6 rows by 2 vectors: 12 accumulators, 2 vectors of b and one broadcast of a, 15 of the 16 registers of AVX2.
/// Rows beyond the last are computed from the last and not stored.
/// </summary>
internal readonly unsafe struct MicroKernel6x2<TLanes, TVector> : IMicroKernel
    where TLanes : struct, ILanes<TVector>
    where TVector : struct
{
    /// <inheritdoc/>
    public static int Rows => 6;

    /// <inheritdoc/>
    public static int Columns => 2 * TLanes.Count;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run(float* a, nint aStride, int rows, float* b, nint bStride, nint depth, float* c, nint cStride, float beta)
    {
        float* a0 = a;
        float* a1 = rows > 1 ? a0 + aStride : a0;
        float* a2 = rows > 2 ? a1 + aStride : a1;
        float* a3 = rows > 3 ? a2 + aStride : a2;
        float* a4 = rows > 4 ? a3 + aStride : a3;
        float* a5 = rows > 5 ? a4 + aStride : a4;
        TVector c00 = TLanes.Create(0), c01 = TLanes.Create(0);
        TVector c10 = TLanes.Create(0), c11 = TLanes.Create(0);
        TVector c20 = TLanes.Create(0), c21 = TLanes.Create(0);
        TVector c30 = TLanes.Create(0), c31 = TLanes.Create(0);
        TVector c40 = TLanes.Create(0), c41 = TLanes.Create(0);
        TVector c50 = TLanes.Create(0), c51 = TLanes.Create(0);
        for (nint k = 0; k < depth; k++)
        {
            var b0 = TLanes.Load(b);
            var b1 = TLanes.Load(b + TLanes.Count);
            var x0 = TLanes.Create(a0[k]);
            c00 = TLanes.MultiplyAdd(x0, b0, c00);
            c01 = TLanes.MultiplyAdd(x0, b1, c01);
            var x1 = TLanes.Create(a1[k]);
            c10 = TLanes.MultiplyAdd(x1, b0, c10);
            c11 = TLanes.MultiplyAdd(x1, b1, c11);
            var x2 = TLanes.Create(a2[k]);
            c20 = TLanes.MultiplyAdd(x2, b0, c20);
            c21 = TLanes.MultiplyAdd(x2, b1, c21);
            var x3 = TLanes.Create(a3[k]);
            c30 = TLanes.MultiplyAdd(x3, b0, c30);
            c31 = TLanes.MultiplyAdd(x3, b1, c31);
            var x4 = TLanes.Create(a4[k]);
            c40 = TLanes.MultiplyAdd(x4, b0, c40);
            c41 = TLanes.MultiplyAdd(x4, b1, c41);
            var x5 = TLanes.Create(a5[k]);
            c50 = TLanes.MultiplyAdd(x5, b0, c50);
            c51 = TLanes.MultiplyAdd(x5, b1, c51);
            b += bStride;
        }

        Store(c, beta, c00, c01);
        if (rows > 1)
            Store(c + cStride, beta, c10, c11);
        if (rows > 2)
            Store(c + (2 * cStride), beta, c20, c21);
        if (rows > 3)
            Store(c + (3 * cStride), beta, c30, c31);
        if (rows > 4)
            Store(c + (4 * cStride), beta, c40, c41);
        if (rows > 5)
            Store(c + (5 * cStride), beta, c50, c51);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(float* c, float beta, TVector v0, TVector v1)
    {
        if (beta != 0)
        {
            var scale = TLanes.Create(beta);
            v0 = TLanes.MultiplyAdd(scale, TLanes.Load(c), v0);
            v1 = TLanes.MultiplyAdd(scale, TLanes.Load(c + TLanes.Count), v1);
        }

        TLanes.Store(v0, c);
        TLanes.Store(v1, c + TLanes.Count);
    }
}
