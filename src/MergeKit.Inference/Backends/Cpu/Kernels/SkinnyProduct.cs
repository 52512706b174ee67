using System.Runtime.CompilerServices;
using MergeKit.Core.Numerics;

namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>
/// The product for a few tokens: weights are read once from memory, as stored, and widened in registers; the sums run along the inputs.
/// Every output is computed alone, so its bits depend neither on the threads nor on the other tokens.
/// </summary>
/// <remarks>
/// What counts is that memory never rests. Each worker streams one run of neighbouring rows, from which others take only when they have
/// nothing left; several matrices of the same inputs (queries, keys and values; gate and up) are one loop.
/// </remarks>
internal static unsafe class SkinnyProduct
{
    /// <summary>Bytes of weights that a worker takes at a time: they stay in the first-level cache while several tokens pass.</summary>
    private const int UnitBytes = 16 * 1024;

    /// <summary>The same for a single token, of which nothing need stay.</summary>
    private const int LoneUnitBytes = 32 * 1024;

    /// <summary>Runs the products, all of the same x, element type and columns, on the pool.</summary>
    public static void Run<TLanes, TVector, TDecoder>(ReadOnlySpan<ProductArguments> products)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct
        where TDecoder : struct, IWeightDecoder
    {
        var pool = products[0].Pool;
        var arranged = Arrange<TLanes, TVector, TDecoder>(products[0]);
        var rowsPerUnit = (int)Math.Clamp((products[0].Tokens == 1 ? LoneUnitBytes : UnitBytes) / Math.Max(1L, (long)products[0].Inputs * TDecoder.Size), 1, 1024);
        pool.Skinny.Begin(products, rowsPerUnit, pool.Threads, arranged, RunUnit<TLanes, TVector, TDecoder>);
        if (pool.LookAhead.Begin(products[0].Weights.Data))
            pool.LookAhead.Remember(pool.Skinny.Starts());
        pool.For(pool.Threads, pool.Skinny.Body);
    }

    /// <summary>x in the order in which <typeparamref name="TDecoder"/> gives weights; x itself where that is the order in memory.</summary>
    private static float* Arrange<TLanes, TVector, TDecoder>(in ProductArguments product)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct
        where TDecoder : struct, IWeightDecoder
    {
        if (!TDecoder.InPairs)
            return product.X;
        var columns = product.Inputs;
        var paired = columns / (4 * TLanes.Count) * (4 * TLanes.Count);
        var arranged = product.Pool.SharedScratch((long)product.Tokens * columns);
        for (var token = 0; token < product.Tokens; token++)
        {
            float* from = product.X + ((nint)token * columns), to = arranged + ((nint)token * columns);
            for (var i = 0; i < paired; i += 2 * TLanes.Count)
            {
                var (first, second) = (TLanes.Load(from + i), TLanes.Load(from + i + TLanes.Count));
                TLanes.Store(TLanes.Evens(first, second), to + i);
                TLanes.Store(TLanes.Odds(first, second), to + i + TLanes.Count);
            }

            new ReadOnlySpan<float>(from + paired, columns - paired).CopyTo(new Span<float>(to + paired, columns - paired));
        }

        return arranged;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void RunUnit<TLanes, TVector, TDecoder>(in ProductArguments product, float* arranged, int row, int rows)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct
        where TDecoder : struct, IWeightDecoder
    {
        var strideBytes = (nint)product.Weights.RowStrideElements * TDecoder.Size;
        nint columns = product.Weights.Columns;
        var widest = TLanes.Count == 16 ? 4 : 2;
        var w = product.Weight(row, 0);
        for (int token = 0, tokens; token < product.Tokens; token += tokens)
        {
            var left = Math.Min(widest, product.Tokens - token);
            tokens = left >= 4 ? 4 : left >= 2 ? 2 : 1;
            var x = arranged + (token * columns);
            var y = product.Y + (token * product.YStride) + row;
            if (tokens == 4)
                SkinnyKernels.FourTokens<TLanes, TVector, TDecoder>(x, columns, w, strideBytes, rows, y, product.YStride, product.Beta);
            else if (tokens == 2)
                SkinnyKernels.TwoTokens<TLanes, TVector, TDecoder>(x, columns, w, strideBytes, rows, y, product.YStride, product.Beta);
            else
                SkinnyKernels.OneToken<TLanes, TVector, TDecoder>(x, columns, w, strideBytes, rows, y, product.YStride, product.Beta);
        }
    }
}
