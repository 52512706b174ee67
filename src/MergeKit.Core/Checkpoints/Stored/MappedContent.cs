using System.Runtime.InteropServices;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Checkpoints.Stored;

/// <summary>What decoders share: a packed tensor's elements, mapped.</summary>
internal static class MappedContent
{
    /// <summary>All of a tensor as elements of a type. It has been checked by <see cref="Require"/>.</summary>
    public static ReadOnlySpan<T> Elements<T>(this Checkpoint checkpoint, TensorInfo tensor) where T : unmanaged =>
        MemoryMarshal.Cast<byte, T>(checkpoint.Map(tensor).Slice(0, (int)tensor.ByteLength));

    /// <summary>Makes sure that a packed tensor has the shape and type that its neighbours imply.</summary>
    /// <exception cref="InputException">It has not.</exception>
    public static void Require(this Checkpoint checkpoint, TensorInfo tensor, Numerics.DType[] types, params long[] shape)
    {
        if (!tensor.Shape.SequenceEqual(shape) || !types.Contains(tensor.DType))
            throw new InputException($"{checkpoint.Path}: tensor '{tensor.Name}' is {tensor.DType} {tensor.ShapeText}; the tensors beside it imply {string.Join(" or ", types)} {TensorInfo.Text(shape)}");
        if (tensor.ByteLength > int.MaxValue)
            throw new InputException($"{checkpoint.Path}: packed tensor '{tensor.Name}' has {tensor.ByteLength:N0} bytes; at most {int.MaxValue:N0} can be decoded");
    }
}
