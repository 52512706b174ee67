using MergeKit.Core.Numerics;

namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>
/// A weight matrix <c>W[out, in]</c> where it lies in memory, in the element type of the checkpoint; a layer computes <c>y = x W^T</c>.
/// The memory (usually a mapped file) must outlive every use.
/// </summary>
/// <param name="Data">Address of the first element.</param>
/// <param name="Type">A floating-point element type.</param>
/// <param name="Rows">Output features.</param>
/// <param name="Columns">Input features.</param>
/// <param name="RowStrideElements">Elements from the start of one row to the start of the next.</param>
public readonly record struct WeightMatrix(nint Data, DType Type, int Rows, int Columns, long RowStrideElements)
{
    /// <summary>The rows <paramref name="start"/> to <paramref name="start"/> + <paramref name="count"/> - 1, sharing the memory.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range leaves the matrix.</exception>
    public WeightMatrix Slice(int start, int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((long)start + count, Rows, nameof(count));
        return this with { Data = Data + checked((nint)(start * RowStrideElements * Type.Size())), Rows = count };
    }
}
