using MergeKit.Core.Merging.Execution;

namespace MergeKit.Core.Merging;

/// <summary>A range of one tensor in a worker's buffers: the sources' elements as float32, and scratch rows.</summary>
/// <param name="start">Index of the first element.</param>
/// <param name="length">Number of elements.</param>
/// <param name="sources">Number of sources.</param>
/// <param name="buffers">The worker's memory.</param>
public readonly ref struct Chunk(long start, int length, int sources, WorkerBuffers buffers)
{
    /// <summary>Rows that a method may use besides its sources' rows.</summary>
    public const int ScratchRows = 2;

    /// <summary>Index of the first element in the flattened tensor.</summary>
    public long Start { get; } = start;

    /// <summary>Number of elements.</summary>
    public int Length { get; } = length;

    /// <summary>A source's elements, in the order of the job's sources; a method may overwrite them.</summary>
    public Span<float> Source(int index) => buffers.Row(index)[..Length];

    /// <summary>A scratch row.</summary>
    public Span<float> Scratch(int index) => buffers.Row(sources + index)[..Length];

    /// <summary>The row for the result.</summary>
    internal Span<float> Result => buffers.Row(sources + ScratchRows)[..Length];

    internal Span<byte> Bytes => buffers.Bytes;
}
