using MergeKit.Core.Checkpoints;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Merging;

/// <summary>One tensor as a method sees it: a row of float32 elements that can be read anywhere.</summary>
public interface ITensorSource
{
    /// <summary>Where it comes from, for messages and plans: <c>model: tensor</c>.</summary>
    string Description { get; }

    /// <summary>The type whose values it holds, after <c>dtype</c> has been applied.</summary>
    DType Type { get; }

    /// <summary>Number of elements.</summary>
    long Count { get; }

    /// <summary>Reads elements <paramref name="start"/> onwards; <paramref name="scratch"/> has 8 bytes per element.</summary>
    void Read(long start, Span<float> destination, Span<byte> scratch);

    /// <summary>The stored bytes where they are already of the wanted type and need no change, else null.</summary>
    (Checkpoint Checkpoint, TensorInfo Tensor)? Verbatim { get; }
}

/// <summary>The leading elements of a checkpoint's tensor, rounded to <c>dtype</c> when that is narrower than what is stored.</summary>
/// <param name="Checkpoint">The file or folder.</param>
/// <param name="Tensor">The tensor.</param>
/// <param name="Count">How many elements; fewer than the tensor has where embeddings are cut to a common size.</param>
/// <param name="Convert">The recipe's <c>dtype</c>, or null.</param>
public sealed record CheckpointSource(Checkpoint Checkpoint, TensorInfo Tensor, long Count, DType? Convert) : ITensorSource
{
    /// <inheritdoc/>
    public string Description => $"{Checkpoint.Path}: {Tensor.Name}";

    /// <inheritdoc/>
    public DType Type => Convert ?? Tensor.DType;

    /// <inheritdoc/>
    public (Checkpoint Checkpoint, TensorInfo Tensor)? Verbatim => Type == Tensor.DType ? (Checkpoint, Tensor) : null;

    /// <inheritdoc/>
    public void Read(long start, Span<float> destination, Span<byte> scratch)
    {
        Checkpoint.Read(Tensor, start, destination, scratch);
        if (!TensorCodec.IsExact(Tensor.DType, Type))
            TensorCodec.Round(Type, destination);
    }
}

/// <summary>The same elements as a <see cref="CheckpointSource"/>, decoded straight from mapped memory: for work that reads the same tensors again and again.</summary>
/// <remarks>A file that shrinks while it is mapped ends the process, so what reads files once uses <see cref="CheckpointSource"/>.</remarks>
/// <param name="Source">The tensor.</param>
public sealed record MappedSource(CheckpointSource Source) : ITensorSource
{
    private readonly MappedBytes _bytes = Source.Checkpoint.Map(Source.Tensor);

    /// <inheritdoc/>
    public string Description => Source.Description;

    /// <inheritdoc/>
    public DType Type => Source.Type;

    /// <inheritdoc/>
    public long Count => Source.Count;

    /// <inheritdoc/>
    public (Checkpoint Checkpoint, TensorInfo Tensor)? Verbatim => Source.Verbatim;

    /// <inheritdoc/>
    public void Read(long start, Span<float> destination, Span<byte> scratch)
    {
        var stored = Source.Tensor.DType;
        TensorCodec.Decode(stored, _bytes.Slice(start * stored.Size(), destination.Length * stored.Size()), destination);
        if (!TensorCodec.IsExact(stored, Type))
            TensorCodec.Round(Type, destination);
    }
}
