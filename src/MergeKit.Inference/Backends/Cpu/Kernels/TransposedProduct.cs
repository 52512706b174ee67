namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>Products with weights stored [in, out], as GPT-2's are. They are packed like others, and cheaper: a panel is a copy.</summary>
internal static class TransposedProduct
{
    /// <summary>
    /// <c>y[t * yStride + o] = sum_i x[t, i] W[i, o] + beta y[t * yStride + o]</c>. With <paramref name="beta"/> = 0, y is not read.
    /// </summary>
    /// <param name="x">tokens x <c>w.Rows</c>, densely packed.</param>
    /// <param name="tokens">Rows of x and y.</param>
    /// <param name="w">The weights as stored: rows are inputs, columns outputs.</param>
    /// <param name="y">The result.</param>
    /// <param name="yStride">Floats from a row of y to the next, at least <c>w.Columns</c>.</param>
    /// <param name="pool">Who works.</param>
    /// <param name="beta">Factor of what y holds.</param>
    /// <exception cref="ArgumentException">A span is too short for the shapes, or the weights are not of a floating-point type.</exception>
    public static void Multiply(
        ReadOnlySpan<float> x, int tokens, WeightMatrix w, Span<float> y, int yStride, WorkerPool pool, float beta = 0) =>
        MatrixProduct.MultiplyTransposed(InstructionPaths.Best, x, tokens, w, y, yStride, pool, beta);
}
