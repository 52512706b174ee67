using System.Runtime.CompilerServices;

namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>
/// The product for a few tokens: weights are read once, as stored, four rows at a time, and widened in registers; the sums run along the inputs.
/// Every output is computed alone, so its bits depend neither on the threads nor on the other tokens.
/// </summary>
internal static unsafe class SkinnyProduct
{
    private const int Rows = 4;

    /// <summary>Bytes of weights per task: large against the cost of taking a task, small against a layer.</summary>
    private const int TaskBytes = 64 * 1024;

    /// <summary>Runs the product on the pool.</summary>
    public static void Run<TLanes, TVector, TDecoder>(ProductArguments product)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct
        where TDecoder : struct, IWeightDecoder
    {
        var rowBytes = Math.Max(1, (long)product.Weights.Columns * TDecoder.Size);
        var rowsPerTask = (int)Math.Clamp(TaskBytes / rowBytes / Rows * Rows, Rows, 4096);
        var tasks = (product.Weights.Rows + rowsPerTask - 1) / rowsPerTask;
        product.Pool.For(tasks, (task, _) => RunTask<TLanes, TVector, TDecoder>(product, task * rowsPerTask, rowsPerTask));
    }

    private static void RunTask<TLanes, TVector, TDecoder>(in ProductArguments product, int firstRow, int rowCount)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct
        where TDecoder : struct, IWeightDecoder
    {
        var end = Math.Min(product.Weights.Rows, firstRow + rowCount);
        var sums = stackalloc float[Rows * 4];
        for (var row = firstRow; row < end; row += Rows)
        {
            var rows = Math.Min(Rows, end - row);
            for (var token = 0; token < product.Tokens;)
            {
                var tokens = product.Tokens - token >= 4 ? 4 : product.Tokens - token >= 2 ? 2 : 1;
                Dot<TLanes, TVector, TDecoder>(product, row, rows, token, tokens, sums);
                for (var t = 0; t < tokens; t++)
                {
                    var y = product.Y + ((token + t) * product.YStride) + row;
                    for (var r = 0; r < rows; r++)
                        y[r] = product.Beta == 0 ? sums[(t * Rows) + r] : MathF.FusedMultiplyAdd(product.Beta, y[r], sums[(t * Rows) + r]);
                }

                token += tokens;
            }
        }
    }

    private static void Dot<TLanes, TVector, TDecoder>(in ProductArguments product, int row, int rows, int token, int tokens, float* sums)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct
        where TDecoder : struct, IWeightDecoder
    {
        var columns = product.Weights.Columns;
        var x = product.X + ((nint)token * columns);
        var w0 = product.Weight(row, 0);
        var w1 = product.Weight(row + Math.Min(1, rows - 1), 0);
        var w2 = product.Weight(row + Math.Min(2, rows - 1), 0);
        var w3 = product.Weight(row + Math.Min(3, rows - 1), 0);
        switch (tokens)
        {
            case 4:
                SkinnyKernels.FourTokens<TLanes, TVector, TDecoder>(x, columns, w0, w1, w2, w3, sums);
                break;
            case 2:
                SkinnyKernels.TwoTokens<TLanes, TVector, TDecoder>(x, columns, w0, w1, w2, w3, sums);
                break;
            default:
                SkinnyKernels.OneToken<TLanes, TVector, TDecoder>(x, columns, w0, w1, w2, w3, sums);
                break;
        }
    }
}
