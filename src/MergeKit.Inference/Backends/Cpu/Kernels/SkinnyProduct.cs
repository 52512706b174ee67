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
    /// <summary>Bytes of weights that a worker takes at a time: they stay in the first-level cache while the tokens pass.</summary>
    private const int UnitBytes = 16 * 1024;

    /// <summary>Runs the products, all of the same x, element type and columns, on the pool.</summary>
    public static void Run<TLanes, TVector, TDecoder>(ReadOnlySpan<ProductArguments> products)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct
        where TDecoder : struct, IWeightDecoder
    {
        var pool = products[0].Pool;
        var arranged = Arrange<TLanes, TVector, TDecoder>(products[0]);
        var units = new Units(products, (int)Math.Clamp(UnitBytes / Math.Max(1L, (long)products[0].Inputs * TDecoder.Size), 1, 1024), pool.Threads);
        pool.LookAhead.Begin(products[0].Weights.Data, units.Starts());
        pool.For(2 * pool.Threads, (_, worker) =>
        {
            for (var turn = 0; turn < pool.Threads; turn++)
                while (units.TryTake((worker + turn) % pool.Threads, out var product, out var row, out var rows))
                    RunUnit<TLanes, TVector, TDecoder>(units.Products[product], arranged, row, rows);
        });
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

    /// <summary>The rows of all matrices in units, dealt out to the workers in runs of neighbours.</summary>
    private sealed class Units
    {
        private readonly int _rowsPerUnit;
        private readonly int[] _firstUnit;
        private readonly PaddedCounter[] _next;
        private readonly long[] _end;

        public Units(ReadOnlySpan<ProductArguments> products, int rowsPerUnit, int shares)
        {
            (Products, _rowsPerUnit, _firstUnit) = (products.ToArray(), rowsPerUnit, new int[products.Length + 1]);
            for (var i = 0; i < Products.Length; i++)
                _firstUnit[i + 1] = _firstUnit[i] + ((Products[i].Weights.Rows + rowsPerUnit - 1) / rowsPerUnit);
            (_next, _end) = (new PaddedCounter[shares], new long[shares]);
            for (var share = 0; share < shares; share++)
                (_next[share].Value, _end[share]) = ((long)_firstUnit[^1] * share / shares, (long)_firstUnit[^1] * (share + 1) / shares);
        }

        public ProductArguments[] Products { get; }

        /// <summary>The bytes of weights with which each share begins, to the end of their matrix.</summary>
        public (nint Address, long Bytes)[] Starts()
        {
            var starts = new (nint, long)[_end.Length];
            for (var share = 0; share < starts.Length; share++)
            {
                if (_next[share].Value >= _end[share])
                    continue;
                var (product, row) = Place(_next[share].Value);
                var stride = Products[product].Weights.RowStrideElements * Products[product].Weights.Type.Size();
                var units = Math.Min(_end[share], _firstUnit[product + 1]) - _next[share].Value;
                starts[share] = ((nint)Products[product].Weight(row, 0), Math.Min(units * _rowsPerUnit, Products[product].Weights.Rows - row) * stride);
            }

            return starts;
        }

        /// <summary>Takes the next unit of a share, if there is one left.</summary>
        public bool TryTake(int share, out int product, out int row, out int rows)
        {
            (product, row, rows) = (0, 0, 0);
            if (Volatile.Read(ref _next[share].Value) >= _end[share])
                return false;
            var unit = Interlocked.Increment(ref _next[share].Value) - 1;
            if (unit >= _end[share])
                return false;
            (product, row) = Place(unit);
            rows = Math.Min(_rowsPerUnit, Products[product].Weights.Rows - row);
            return true;
        }

        private (int Product, int Row) Place(long unit)
        {
            var product = 0;
            while (unit >= _firstUnit[product + 1])
                product++;
            return (product, ((int)unit - _firstUnit[product]) * _rowsPerUnit);
        }
    }
}
