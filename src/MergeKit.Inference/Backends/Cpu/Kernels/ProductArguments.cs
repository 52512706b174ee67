using MergeKit.Core.Numerics;

namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>A checked call of <see cref="MatrixProduct"/>, with the spans pinned.</summary>
internal readonly unsafe struct ProductArguments(
    float* x, int tokens, WeightMatrix weights, bool transposed, float* y, nint yStride, WorkerPool pool, float beta, bool skinny)
{
    /// <summary>Activations, tokens x columns.</summary>
    public readonly float* X = x;

    /// <summary>Rows of x and y.</summary>
    public readonly int Tokens = tokens;

    /// <summary>The weights.</summary>
    public readonly WeightMatrix Weights = weights;

    /// <summary>Whether the weights are stored [in, out].</summary>
    public readonly bool Transposed = transposed;

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

    /// <summary>Features of a row of y.</summary>
    public int Outputs => Transposed ? Weights.Columns : Weights.Rows;

    /// <summary>Features of a row of x.</summary>
    public int Inputs => Transposed ? Weights.Rows : Weights.Columns;

    /// <summary>Address of weight [row, column] as stored.</summary>
    public byte* Weight(int row, int column) =>
        (byte*)Weights.Data + (((row * Weights.RowStrideElements) + column) * Weights.Type.Size());
}
