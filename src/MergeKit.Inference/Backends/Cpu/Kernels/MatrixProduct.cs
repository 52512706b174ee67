using System.Runtime.Intrinsics;
using MergeKit.Core.Numerics;

namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>The product of activations and weights, <c>y = x W^T + beta y</c>, with float32 arithmetic over weights of any stored type.</summary>
/// <remarks>
/// A few tokens are answered by <see cref="SkinnyProduct"/>, which streams the weights once at memory speed; more by <see cref="PackedProduct"/>,
/// which reuses them from cache at arithmetic speed. The bits of a row depend on neither the number of threads nor, within each of the two, on the other rows.
/// </remarks>
internal static unsafe class MatrixProduct
{
    /// <summary>The most tokens that are answered by streaming the weights.</summary>
    internal const int SkinnyTokens = 8;

    /// <summary>
    /// <c>y[t * yStride + o] = sum_i x[t, i] W[o, i] + beta y[t * yStride + o]</c> for t below <paramref name="tokens"/> and every output o.
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
    public static void Multiply(ReadOnlySpan<float> x, int tokens, WeightMatrix w, Span<float> y, int yStride, WorkerPool pool, float beta = 0) =>
        Multiply(InstructionPaths.Best, x, tokens, w, y, yStride, pool, beta);

    /// <summary>As the public method, on a given path; <paramref name="skinnyTokens"/> moves the limit between the two ways of computing.</summary>
    internal static void Multiply(
        InstructionPath path, ReadOnlySpan<float> x, int tokens, WeightMatrix w, Span<float> y, int yStride, WorkerPool pool, float beta, int skinnyTokens = SkinnyTokens)
    {
        Check(x, tokens, w, y, yStride);
        if (tokens == 0 || w.Rows == 0)
            return;
        fixed (float* px = x, py = y)
        {
            var product = new ProductArguments(px, tokens, w, py, yStride, pool, beta, tokens <= skinnyTokens);
            switch (path)
            {
                case InstructionPath.Avx512:
                    ByType<Lanes512, Vector512<float>, MicroKernel6x4<Lanes512, Vector512<float>>>(product);
                    break;
                case InstructionPath.Avx2:
                    ByType<Lanes256, Vector256<float>, MicroKernel6x2<Lanes256, Vector256<float>>>(product);
                    break;
                default:
                    ByType<Lanes128, Vector128<float>, MicroKernel6x4<Lanes128, Vector128<float>>>(product);
                    break;
            }
        }
    }

    private static void ByType<TLanes, TVector, TKernel>(in ProductArguments product)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct
        where TKernel : struct, IMicroKernel
    {
        switch (product.Weights.Type)
        {
            case DType.F32:
                BySize<TLanes, TVector, TKernel, SingleDecoder>(product);
                break;
            case DType.BF16:
                BySize<TLanes, TVector, TKernel, BFloat16Decoder>(product);
                break;
            case DType.F16:
                BySize<TLanes, TVector, TKernel, HalfDecoder>(product);
                break;
            case DType.F8E4M3:
                BySize<TLanes, TVector, TKernel, E4M3Decoder>(product);
                break;
            case DType.F8E5M2:
                BySize<TLanes, TVector, TKernel, E5M2Decoder>(product);
                break;
            default:
                BySize<TLanes, TVector, TKernel, DoubleDecoder>(product);
                break;
        }
    }

    private static void BySize<TLanes, TVector, TKernel, TDecoder>(in ProductArguments product)
        where TLanes : struct, ILanes<TVector>
        where TVector : struct
        where TKernel : struct, IMicroKernel
        where TDecoder : struct, IWeightDecoder
    {
        if (product.Skinny)
            SkinnyProduct.Run<TLanes, TVector, TDecoder>(product);
        else
            PackedProduct.Run<TKernel, TDecoder>(product);
    }

    private static void Check(ReadOnlySpan<float> x, int tokens, WeightMatrix w, Span<float> y, int yStride)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(tokens);
        ArgumentOutOfRangeException.ThrowIfNegative(w.Rows, nameof(w));
        ArgumentOutOfRangeException.ThrowIfNegative(w.Columns, nameof(w));
        if (!w.Type.IsFloat())
            throw new ArgumentException($"weights of type {w.Type.SafetensorsName()} cannot be multiplied; a floating-point type is needed", nameof(w));
        if (w.RowStrideElements < w.Columns || (w.Data == 0 && (long)w.Rows * w.Columns > 0))
            throw new ArgumentException($"weights [{w.Rows}, {w.Columns}] with a row stride of {w.RowStrideElements} at address {w.Data} are not a matrix", nameof(w));
        if (x.Length < (long)tokens * w.Columns)
            throw new ArgumentException($"x holds {x.Length} floats; {tokens} tokens of {w.Columns} features need {(long)tokens * w.Columns}", nameof(x));
        if (yStride < w.Rows)
            throw new ArgumentException($"yStride {yStride} is below the {w.Rows} outputs of the weights", nameof(yStride));
        if (tokens > 0 && y.Length < ((long)(tokens - 1) * yStride) + w.Rows)
            throw new ArgumentException($"y holds {y.Length} floats; {tokens} rows of stride {yStride} need {((long)(tokens - 1) * yStride) + w.Rows}", nameof(y));
    }
}

/// <summary>A checked call of <see cref="MatrixProduct"/>, with the spans pinned.</summary>
internal readonly unsafe struct ProductArguments(
    float* x, int tokens, WeightMatrix weights, float* y, nint yStride, WorkerPool pool, float beta, bool skinny)
{
    /// <summary>Activations, tokens x columns.</summary>
    public readonly float* X = x;

    /// <summary>Rows of x and y.</summary>
    public readonly int Tokens = tokens;

    /// <summary>The weights.</summary>
    public readonly WeightMatrix Weights = weights;

    /// <summary>The result.</summary>
    public readonly float* Y = y;

    /// <summary>Floats from row to row of y.</summary>
    public readonly nint YStride = yStride;

    /// <summary>Who works.</summary>
    public readonly WorkerPool Pool = pool;

    /// <summary>Factor of what y holds.</summary>
    public readonly float Beta = beta;

    /// <summary>Whether to stream the weights rather than to pack them.</summary>
    public readonly bool Skinny = skinny;

    /// <summary>Address of weight [row, column].</summary>
    public byte* Weight(int row, int column) =>
        (byte*)Weights.Data + (((row * Weights.RowStrideElements) + column) * Weights.Type.Size());
}
