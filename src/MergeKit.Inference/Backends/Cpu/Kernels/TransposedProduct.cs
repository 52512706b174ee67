using MergeKit.Core.Numerics;

namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>Products with weights stored [in, out]: panels of columns are transposed into scratch, then multiplied as usual.</summary>
internal static unsafe class TransposedProduct
{
    private const int MaxPanelFloats = 1 << 20;

    /// <summary>y[t, o] = sum_i x[t, i] W[i, o] + beta y[t, o].</summary>
    /// <param name="x">[tokens, inputs], row-major.</param>
    /// <param name="tokens">Rows of x.</param>
    /// <param name="w">The weights as stored: rows are inputs, columns outputs.</param>
    /// <param name="y">Row t starts at t x <paramref name="yStride"/>.</param>
    /// <param name="yStride">Floats from one row of y to the next.</param>
    /// <param name="pool">The workers.</param>
    /// <param name="beta">Factor on what y holds.</param>
    public static void Multiply(ReadOnlySpan<float> x, int tokens, WeightMatrix w, Span<float> y, int yStride, WorkerPool pool, float beta = 0)
    {
        var (inputs, outputs) = (w.Rows, w.Columns);
        var width = Math.Clamp(MaxPanelFloats / inputs, 16, outputs < 16 ? 16 : outputs);
        var panel = new float[(long)Math.Min(width, outputs) * inputs];
        fixed (float* scratch = panel)
        {
            for (var start = 0; start < outputs; start += width)
            {
                var count = Math.Min(width, outputs - start);
                Transpose(w, start, count, (nint)scratch, pool);
                var transposed = new WeightMatrix((nint)scratch, DType.F32, count, inputs, inputs);
                MatrixProduct.Multiply(x, tokens, transposed, y[start..], yStride, pool, beta);
            }
        }
    }

    private static void Transpose(WeightMatrix w, int start, int count, nint scratch, WorkerPool pool)
    {
        const int rows = 64;
        var (inputs, size) = (w.Rows, w.Type.Size());
        pool.For((inputs + rows - 1) / rows, (block, _) =>
        {
            var line = new float[count];
            for (var i = block * rows; i < Math.Min(inputs, (block + 1) * rows); i++)
            {
                Widening.ToSingle(w.Data + (nint)((i * w.RowStrideElements + start) * size), w.Type, line);
                for (var o = 0; o < count; o++)
                    ((float*)scratch)[(long)o * inputs + i] = line[o];
            }
        });
    }
}
