using System.Runtime.CompilerServices;

namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>
/// The product for a few tokens: weights are read once from memory, as stored, and widened in registers; the sums run along the inputs.
/// Every output is computed alone, so its bits depend neither on the threads nor on the other tokens.
/// </summary>
internal static unsafe class SkinnyProduct
{
    /// <summary>Bytes of weights per task: large against the cost of taking a task, small against a layer.</summary>
    private const int TaskBytes = 64 * 1024;

    /// <summary>Bytes of weights that stay in the first-level cache while the tokens pass.</summary>
    private const int BlockBytes = 16 * 1024;

    /// <summary>Runs the product on the pool.</summary>
    public static void Run<TLanes, TVector, TDecoder>(ProductArguments product)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct
        where TDecoder : struct, IWeightDecoder
    {
        var rowBytes = Math.Max(1, (long)product.Weights.Columns * TDecoder.Size);
        var blockRows = (int)Math.Clamp(BlockBytes / rowBytes, 1, 1024);
        var evenShare = (product.Weights.Rows + (2 * product.Pool.Threads) - 1) / (2 * product.Pool.Threads);
        var taskRows = (int)Math.Clamp(TaskBytes / rowBytes, 1, Math.Max(1, evenShare));
        var tasks = (product.Weights.Rows + taskRows - 1) / taskRows;
        product.Pool.For(tasks, (task, _) => RunTask<TLanes, TVector, TDecoder>(product, task * taskRows, taskRows, blockRows));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void RunTask<TLanes, TVector, TDecoder>(in ProductArguments product, int firstRow, int taskRows, int blockRows)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct
        where TDecoder : struct, IWeightDecoder
    {
        var end = Math.Min(product.Weights.Rows, firstRow + taskRows);
        var strideBytes = (nint)product.Weights.RowStrideElements * TDecoder.Size;
        nint columns = product.Weights.Columns;
        var widest = TLanes.Count == 16 ? 4 : 2;
        for (var row = firstRow; row < end; row += blockRows)
        {
            var rows = Math.Min(blockRows, end - row);
            var w = product.Weight(row, 0);
            for (int token = 0, tokens; token < product.Tokens; token += tokens)
            {
                var left = Math.Min(widest, product.Tokens - token);
                tokens = left >= 4 ? 4 : left >= 2 ? 2 : 1;
                var x = product.X + (token * columns);
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
}
