using System.Numerics.Tensors;
using MergeKit.Core.Numerics;

namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>Products of activations with weights as stored.</summary>
internal static unsafe class MatrixProduct
{
    private const int RowBlock = 16;

    /// <summary>y[t, o] = sum_i x[t, i] W[o, i] + beta y[t, o].</summary>
    /// <param name="x">[tokens, w.Columns], row-major.</param>
    /// <param name="tokens">Rows of x.</param>
    /// <param name="w">The weights.</param>
    /// <param name="y">Row t starts at t x <paramref name="yStride"/>.</param>
    /// <param name="yStride">Floats from one row of y to the next.</param>
    /// <param name="pool">The workers.</param>
    /// <param name="beta">Factor on what y holds; 0 ignores it.</param>
    public static void Multiply(ReadOnlySpan<float> x, int tokens, WeightMatrix w, Span<float> y, int yStride, WorkerPool pool, float beta = 0)
    {
        fixed (float* inputs = x, outputs = y)
        {
            var (xs, ys, length) = ((nint)inputs, (nint)outputs, y.Length);
            var blocks = (w.Rows + RowBlock - 1) / RowBlock;
            pool.For(blocks, (block, _) => Block((float*)xs, tokens, w.Slice(block * RowBlock, Math.Min(RowBlock, w.Rows - block * RowBlock)),
                (float*)ys + block * RowBlock, yStride, beta));
        }
    }

    private static void Block(float* x, int tokens, WeightMatrix w, float* y, int yStride, float beta)
    {
        var widened = new float[w.Columns];
        for (var row = 0; row < w.Rows; row++)
        {
            Widening.ToSingle(w.Data + (nint)(row * w.RowStrideElements * w.Type.Size()), w.Type, widened);
            for (var token = 0; token < tokens; token++)
            {
                var at = y + (long)token * yStride + row;
                var sum = TensorPrimitives.Dot(new ReadOnlySpan<float>(x + (long)token * w.Columns, w.Columns), widened);
                *at = beta == 0 ? sum : sum + beta * *at;
            }
        }
    }
}
