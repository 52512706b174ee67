using System.Runtime.Intrinsics;
using MergeKit.Core.Numerics;

namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>
/// The product of activations and weights, <c>y = x W^T + beta y</c>, with float32 arithmetic over weights of any stored type.
/// </summary>
/// <remarks>
/// A few tokens are answered by <see cref="SkinnyProduct"/>, which streams the weights once at memory speed; more by <see
/// cref="PackedProduct"/>,
/// which reuses them from cache at arithmetic speed. The bits of a row depend on neither the number of threads nor, within each of the
/// two, on the other rows.
/// </remarks>
internal static unsafe class MatrixProduct
{
    /// <summary>The most tokens that are answered by streaming the weights.</summary>
    internal const int SkinnyTokens = 8;

    /// <summary>
    /// <c>y[t * yStride + o] = sum_i x[t, i] W[o, i] + beta y[t * yStride + o]</c> for t below <paramref name="tokens"/> and every output
    /// o.
    /// With <paramref name="beta"/> = 0, y is not read, so it may hold anything.
    /// </summary>
    /// <param name="x">tokens x <c>w.Columns</c>, densely packed.</param>
    /// <param name="tokens">Rows of x and y.</param>
    /// <param name="w">The weights.</param>
    /// <param name="y">The result.</param>
    /// <param name="yStride">Floats from a row of y to the next, at least <c>w.Rows</c>.</param>
    /// <param name="pool">Who works.</param>
    /// <param name="beta">Factor of what y holds.</param>
    /// <exception cref="ArgumentException">A span is too short for the shapes, or the weights are not of a floating-point type.</exception>
    public static void Multiply(
        ReadOnlySpan<float> x, int tokens, WeightMatrix w, Span<float> y, int yStride, WorkerPool pool, float beta = 0) =>
        Multiply(InstructionPaths.Best, x, tokens, w, y, yStride, pool, beta);

    /// <summary>
    /// As the public method, on a given path; <paramref name="skinnyTokens"/> moves the limit between the two ways of computing.
    /// </summary>
    internal static void Multiply(
        InstructionPath path, ReadOnlySpan<float> x, int tokens, WeightMatrix w, Span<float> y, int yStride, WorkerPool pool, float beta, int skinnyTokens = SkinnyTokens)
    {
        Run(path, x, tokens, w, transposed: false, y, yStride, pool, beta, skinny: tokens <= skinnyTokens);
    }

    /// <summary>
    /// As <see cref="Multiply(ReadOnlySpan{float}, int, WeightMatrix, Span{float}, int, WorkerPool, float)"/> for weights stored [in,
    /// out]: y = x W + beta y.
    /// </summary>
    internal static void MultiplyTransposed(
        InstructionPath path, ReadOnlySpan<float> x, int tokens, WeightMatrix w, Span<float> y, int yStride, WorkerPool pool, float beta) =>
        Run(path, x, tokens, w, transposed: true, y, yStride, pool, beta, skinny: false);

    /// <summary>
    /// As <see cref="Multiply(ReadOnlySpan{float}, int, WeightMatrix, Span{float}, int, WorkerPool, float)"/> for several matrices over the
    /// same inputs; each writes its outputs from <c>FirstRow</c> of a row of y on. For a few tokens they are one loop of the pool.
    /// </summary>
    public static void MultiplyBlocks(
        ReadOnlySpan<float> x, int tokens, ReadOnlySpan<(WeightMatrix Weights, int FirstRow)> blocks, Span<float> y, int yStride, WorkerPool pool, float beta = 0)
    {
        var (type, columns, alike) = (blocks[0].Weights.Type, blocks[0].Weights.Columns, true);
        foreach (var (w, first) in blocks)
        {
            Check(x, tokens, w, w.Rows, w.Columns, y[first..], yStride);
            alike &= w.Type == type && w.Columns == columns;
        }

        if (tokens == 0)
            return;
        fixed (float* px = x, py = y)
        {
            var products = new ProductArguments[blocks.Length];
            for (var i = 0; i < products.Length; i++)
                products[i] = new ProductArguments(px, tokens, blocks[i].Weights, false, py + blocks[i].FirstRow, yStride, pool, beta, tokens <= SkinnyTokens);
            for (var i = 0; i < products.Length; i += alike ? products.Length : 1)
                ByPath(InstructionPaths.Best, alike ? products : products.AsSpan(i, 1));
        }
    }

    private static void Run(
        InstructionPath path, ReadOnlySpan<float> x, int tokens, WeightMatrix w, bool transposed, Span<float> y, int yStride, WorkerPool pool, float beta, bool skinny)
    {
        var (outputs, inputs) = transposed ? (w.Columns, w.Rows) : (w.Rows, w.Columns);
        Check(x, tokens, w, outputs, inputs, y, yStride);
        if (tokens == 0 || outputs == 0)
            return;
        fixed (float* px = x, py = y)
        {
            var product = new ProductArguments(px, tokens, w, transposed, py, yStride, pool, beta, skinny);
            ByPath(path, new ReadOnlySpan<ProductArguments>(in product));
        }
    }

    private static void ByPath(InstructionPath path, ReadOnlySpan<ProductArguments> products)
    {
        switch (path)
        {
            case InstructionPath.Avx512:
                ByType<Lanes512, Vector512<float>, MicroKernel6x4<Lanes512, Vector512<float>>>(products);
                break;
            case InstructionPath.Avx2:
                ByType<Lanes256, Vector256<float>, MicroKernel6x2<Lanes256, Vector256<float>>>(products);
                break;
            default:
                ByType<Lanes128, Vector128<float>, MicroKernel6x4<Lanes128, Vector128<float>>>(products);
                break;
        }
    }

    private static void ByType<TLanes, TVector, TKernel>(ReadOnlySpan<ProductArguments> products)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct
        where TKernel : struct, IMicroKernel
    {
        switch (products[0].Weights.Type)
        {
            case DType.F32:
                BySize<TLanes, TVector, TKernel, SingleDecoder>(products);
                break;
            case DType.BF16:
                BySize<TLanes, TVector, TKernel, BFloat16Decoder>(products);
                break;
            case DType.F16:
                BySize<TLanes, TVector, TKernel, HalfDecoder>(products);
                break;
            case DType.F8E4M3:
                BySize<TLanes, TVector, TKernel, E4M3Decoder>(products);
                break;
            case DType.F8E5M2:
                BySize<TLanes, TVector, TKernel, E5M2Decoder>(products);
                break;
            default:
                BySize<TLanes, TVector, TKernel, DoubleDecoder>(products);
                break;
        }
    }

    private static void BySize<TLanes, TVector, TKernel, TDecoder>(ReadOnlySpan<ProductArguments> products)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct
        where TKernel : struct, IMicroKernel
        where TDecoder : struct, IWeightDecoder
    {
        if (products[0].Skinny)
            SkinnyProduct.Run<TLanes, TVector, TDecoder>(products);
        else
            foreach (ref readonly var product in products)
                PackedProduct.Run<TKernel, TDecoder>(product);
    }

    private static void Check(ReadOnlySpan<float> x, int tokens, WeightMatrix w, int outputs, int inputs, Span<float> y, int yStride)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(tokens);
        ArgumentOutOfRangeException.ThrowIfNegative(w.Rows, nameof(w));
        ArgumentOutOfRangeException.ThrowIfNegative(w.Columns, nameof(w));
        if (!w.Type.IsFloat())
            throw new ArgumentException($"weights of type {w.Type.SafetensorsName()} cannot be multiplied; a floating-point type is needed", nameof(w));
        if (w.RowStrideElements < w.Columns || (w.Data == 0 && (long)w.Rows * w.Columns > 0))
            throw new ArgumentException($"weights [{w.Rows}, {w.Columns}] with a row stride of {w.RowStrideElements} at address {w.Data} are not a matrix", nameof(w));
        if (x.Length < (long)tokens * inputs)
            throw new ArgumentException($"x holds {x.Length} floats; {tokens} tokens of {inputs} features need {(long)tokens * inputs}", nameof(x));
        if (yStride < outputs)
            throw new ArgumentException($"yStride {yStride} is below the {outputs} outputs of the weights", nameof(yStride));
        if (tokens > 0 && y.Length < ((long)(tokens - 1) * yStride) + outputs)
            throw new ArgumentException($"y holds {y.Length} floats; {tokens} rows of stride {yStride} need {((long)(tokens - 1) * yStride) + outputs}", nameof(y));
    }
}
