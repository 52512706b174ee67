using MergeKit.Core.Merging.Execution;

namespace MergeKit.Core.Merging;

/// <summary>A range of one tensor in a worker's buffers: the sources' elements as float32, and scratch rows.</summary>
/// <param name="start">Index of the first element.</param>
/// <param name="length">Number of elements.</param>
/// <param name="sources">Number of sources.</param>
/// <param name="buffers">The worker's memory.</param>
/// <param name="offset">Where in the buffers' rows the range lies.</param>
public readonly ref struct Chunk(long start, int length, int sources, WorkerBuffers buffers, int offset = 0)
{
    /// <summary>Rows that a method may use besides its sources' rows.</summary>
    public const int ScratchRows = 2;

    /// <summary>Index of the first element in the flattened tensor.</summary>
    public long Start { get; } = start;

    /// <summary>Number of elements.</summary>
    public int Length { get; } = length;

    /// <summary>A source's elements, in the order of the job's sources; a method may overwrite them.</summary>
    public Span<float> Source(int index) => buffers.Row(index).Slice(offset, Length);

    /// <summary>A scratch row.</summary>
    public Span<float> Scratch(int index) => buffers.Row(sources + index).Slice(offset, Length);

    /// <summary>A part of this range, in the same rows.</summary>
    /// <param name="first">Where it begins, counted from this range's start.</param>
    /// <param name="count">Number of its elements.</param>
    public Chunk Part(int first, int count) => new(Start + first, count, sources, buffers, offset + first);

    /// <summary>The row for the result.</summary>
    internal Span<float> Result => buffers.Row(sources + ScratchRows).Slice(offset, Length);

    internal Span<byte> Bytes => buffers.Bytes;
}
