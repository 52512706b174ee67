using System.Runtime.CompilerServices;

namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>
/// The product for a few tokens: weights are read once from memory, as stored, and widened in registers; the sums run along the inputs.
/// Every output is computed alone, so its bits depend neither on the threads nor on the other tokens.
/// </summary>
/// <remarks>
/// What counts is that memory never rests. Each worker streams one run of neighbouring rows, from which others take only when they have
/// nothing left; several matrices of the same inputs (queries, keys and values; gate and up) are one loop.
/// </remarks>
internal sealed unsafe class SkinnyProduct<TLanes, TVector, TDecoder>
    where TLanes : struct, ILanes<TVector>
    where TVector : struct
    where TDecoder : struct, IWeightDecoder
{
    /// <summary>Bytes of weights that a worker takes at a time: they stay in the first-level cache while the tokens pass.</summary>
    private const int UnitBytes = 16 * 1024;

    private readonly SkinnyUnits _units = new();
    private readonly Action<int, int> _body;
    private float* _arranged;

    /// <summary>Made once per pool, and kept there (<see cref="WorkerPool.Kept"/>).</summary>
    public SkinnyProduct() => _body = (_, worker) => Work(worker);

    /// <summary>Runs the products, all of the same x, element type and columns, on the pool.</summary>
    public static void Run(ReadOnlySpan<ProductArguments> products) =>
        products[0].Pool.Kept<SkinnyProduct<TLanes, TVector, TDecoder>>().RunTogether(products, products[0].Pool);

    private void RunTogether(ReadOnlySpan<ProductArguments> products, WorkerPool pool)
    {
        _arranged = Arrange(products[0]);
        _units.Deal(products, (int)Math.Clamp(UnitBytes / Math.Max(1L, (long)products[0].Inputs * TDecoder.Size), 1, 1024), pool.Threads);
        pool.LookAhead.Begin(products[0].Weights.Data, _units.Starts);
        pool.For(2 * pool.Threads, _body);
    }

    private void Work(int worker)
    {
        for (var turn = 0; turn < _units.Shares; turn++)
            while (_units.TryTake((worker + turn) % _units.Shares, out var product, out var row, out var rows))
                RunUnit(_units.Product(product), _arranged, row, rows);
    }

    /// <summary>x in the order in which <typeparamref name="TDecoder"/> gives weights; x itself where that is the order in memory.</summary>
    private static float* Arrange(in ProductArguments product)
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
    private static void RunUnit(in ProductArguments product, float* arranged, int row, int rows)
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
