using MergeKit.Core.Numerics;

namespace MergeKit.Core.Checkpoints;

/// <summary>What a header says of one tensor; never its data.</summary>
/// <param name="Name">The tensor's name.</param>
/// <param name="DType">Element type on disk; of a tensor with <see cref="Content"/> the type whose values it has.</param>
/// <param name="Shape">Extent of each axis, outermost first; empty for a scalar.</param>
/// <param name="File">The file that holds it.</param>
/// <param name="Offset">Position of the first byte in that file.</param>
/// <param name="ByteLength">Number of bytes.</param>
public sealed record TensorInfo(string Name, DType DType, IReadOnlyList<long> Shape, string File, long Offset, long ByteLength)
{
    /// <summary>What makes the elements where they are not stored as such; null for ordinary tensors.</summary>
    public ITensorContent? Content { get; init; }

    /// <summary>Number of elements; 1 for a scalar.</summary>
    public long ElementCount => ByteLength / DType.Size();

    /// <summary>The shape as text: <c>[32, 64]</c>.</summary>
    public string ShapeText => Text(Shape);

    /// <summary>The type as text, with the stored form where there is one: <c>F32 from Q4_K</c>.</summary>
    public string TypeText => Content is null ? DType.SafetensorsName() : $"{DType.SafetensorsName()} from {Content.Form}";

    /// <summary>A tensor whose elements are made when they are read.</summary>
    /// <exception cref="OverflowException">The shape has more elements than can be counted.</exception>
    public static TensorInfo Made(string name, DType type, IReadOnlyList<long> shape, string file, ITensorContent content) =>
        new(name, type, shape, file, 0, checked(shape.Aggregate((long)type.Size(), (product, extent) => checked(product * extent)))) { Content = content };

    /// <summary>A shape as text: <c>[32, 64]</c>.</summary>
    public static string Text(IEnumerable<long> shape) => $"[{string.Join(", ", shape)}]";
}
