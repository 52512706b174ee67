using MergeKit.Core.Checkpoints;
using MergeKit.Core.Numerics;

namespace MergeKit.Inference.Runtime;

/// <summary>A tensor's elements in memory, row-major without gaps. The memory belongs to the source.</summary>
/// <param name="Data">Address of the first element.</param>
/// <param name="Type">Element type.</param>
/// <param name="Shape">Extent of each axis, outermost first.</param>
public readonly record struct WeightTensor(nint Data, DType Type, IReadOnlyList<long> Shape)
{
    /// <summary>The part at one index of the first axis.</summary>
    public WeightTensor At(long index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, Shape[0]);
        IReadOnlyList<long> rest = [.. Shape.Skip(1)];
        var elements = rest.Aggregate(1L, (product, extent) => product * extent);
        return new WeightTensor(Data + (nint)(index * elements * Type.Size()), Type, rest);
    }

    /// <summary>Rows of a matrix.</summary>
    public WeightTensor Rows(long start, long count)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(start + count, Shape[0]);
        return new WeightTensor(Data + (nint)(start * Shape[1] * Type.Size()), Type, [count, Shape[1]]);
    }
}

/// <summary>Where a model's tensors come from: a checkpoint, or a merge that exists only in memory.</summary>
public interface IWeightSource : IDisposable
{
    /// <summary>What to call it in messages.</summary>
    string Name { get; }

    /// <summary>The names of all tensors.</summary>
    IEnumerable<string> Names { get; }

    /// <summary>Lends a tensor for the lifetime of the source.</summary>
    bool TryGet(string name, out WeightTensor tensor);
}

/// <summary>The tensors of a checkpoint, memory-mapped.</summary>
/// <param name="checkpoint">The checkpoint; disposed of together with the source.</param>
public sealed class CheckpointWeightSource(Checkpoint checkpoint) : IWeightSource
{
    /// <inheritdoc/>
    public string Name => checkpoint.Path;

    /// <inheritdoc/>
    public IEnumerable<string> Names => checkpoint.Tensors.Select(tensor => tensor.Name);

    /// <inheritdoc/>
    public bool TryGet(string name, out WeightTensor tensor)
    {
        if (checkpoint.Find(name) is not { } info)
        {
            tensor = default;
            return false;
        }

        tensor = new WeightTensor(checkpoint.Map(info).Pointer, info.DType, info.Shape);
        return true;
    }

    /// <inheritdoc/>
    public void Dispose() => checkpoint.Dispose();
}
