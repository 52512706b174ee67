using MergeKit.Core.Checkpoints;
using MergeKit.Core.Numerics;
using MergeKit.Inference.Backends.Cpu.Kernels;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Tests.Support;

/// <summary>Stored models as float32 in memory, to be changed.</summary>
internal static class FloatWeights
{
    /// <summary>The tensors of a checkpoint.</summary>
    public static RandomWeights Load(string folder)
    {
        var weights = new RandomWeights();
        using var source = new CheckpointWeightSource(Checkpoint.Open(folder));
        foreach (var name in source.Names)
        {
            Assert.True(source.TryGet(name, out var tensor));
            if (!tensor.Type.IsFloat())
                continue;
            var values = new float[tensor.Shape.Aggregate(1L, (product, extent) => product * extent)];
            Widening.ToSingle(tensor.Data, tensor.Type, values);
            weights.Set(name, [.. tensor.Shape], values);
        }

        return weights;
    }
}

/// <summary>A source that outlives the models made of it.</summary>
internal sealed class Borrowed(IWeightSource inner) : IWeightSource
{
    public string Name => inner.Name;

    public IEnumerable<string> Names => inner.Names;

    public bool TryGet(string name, out WeightTensor tensor) => inner.TryGet(name, out tensor);

    public void Dispose()
    {
    }
}
