using MergeKit.Core.Numerics;

namespace MergeKit.Core.Checkpoints;

/// <summary>What a header says of one tensor; never its data.</summary>
/// <param name="Name">The tensor's name.</param>
/// <param name="DType">Element type on disk.</param>
/// <param name="Shape">Extent of each axis, outermost first; empty for a scalar.</param>
/// <param name="File">The file that holds it.</param>
/// <param name="Offset">Position of the first byte in that file.</param>
/// <param name="ByteLength">Number of bytes.</param>
public sealed record TensorInfo(string Name, DType DType, IReadOnlyList<long> Shape, string File, long Offset, long ByteLength)
{
    /// <summary>Number of elements; 1 for a scalar.</summary>
    public long ElementCount => ByteLength / DType.Size();

    /// <summary>The shape as text: <c>[32, 64]</c>.</summary>
    public string ShapeText => Text(Shape);

    /// <summary>A shape as text: <c>[32, 64]</c>.</summary>
    public static string Text(IEnumerable<long> shape) => $"[{string.Join(", ", shape)}]";
}
