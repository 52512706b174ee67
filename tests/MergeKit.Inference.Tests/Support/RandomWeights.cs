using System.Runtime.InteropServices;
using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Numerics;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Tests.Support;

/// <summary>Float32 tensors in memory, drawn at random for every weight that a configuration implies; single ones can be changed.</summary>
public sealed unsafe class RandomWeights : IWeightSource
{
    private readonly Dictionary<string, (nint Data, DType Type, long[] Shape)> _tensors = [];

    /// <summary>No tensors yet.</summary>
    public RandomWeights()
    {
    }

    public RandomWeights(ModelConfig config, ulong seed = 1)
    {
        var architecture = ArchitectureCatalog.Get(config);
        var tied = architecture.Network(config).Head.Tied;
        foreach (var weight in architecture.Weights(config))
            if (!weight.Optional || (weight.Role == TensorRole.Head && !tied))
                Set(weight.Name, [.. weight.Shape!], Draw(weight, seed));
    }

    public string Name => "random";

    public IEnumerable<string> Names => _tensors.Keys;

    public float[] this[string name] =>
        new ReadOnlySpan<float>((float*)_tensors[name].Data, (int)_tensors[name].Shape.Aggregate(1L, (a, b) => a * b)).ToArray();

    public long[] Shape(string name) => _tensors[name].Shape;

    public void Set(string name, long[] shape, float[] values, DType type = DType.F32) => SetBytes(name, shape, MemoryMarshal.AsBytes(values.AsSpan()), type);

    public void SetBytes(string name, long[] shape, ReadOnlySpan<byte> bytes, DType type)
    {
        Remove(name);
        var data = (nint)NativeMemory.Alloc((nuint)Math.Max(1, bytes.Length));
        bytes.CopyTo(new Span<byte>((void*)data, bytes.Length));
        _tensors[name] = (data, type, shape);
    }

    public void Remove(string name)
    {
        if (_tensors.Remove(name, out var old))
            NativeMemory.Free((void*)old.Data);
    }

    public bool TryGet(string name, out WeightTensor tensor)
    {
        var found = _tensors.TryGetValue(name, out var stored);
        tensor = found ? new WeightTensor(stored.Data, stored.Type, stored.Shape) : default;
        return found;
    }

    public void Dispose()
    {
        foreach (var name in _tensors.Keys.ToList())
            Remove(name);
    }

    private static float[] Draw(WeightSpec weight, ulong seed)
    {
        var shape = weight.Shape!;
        var count = shape.Aggregate(1L, (a, b) => a * b);
        var key = seed * 1_000_003 + (ulong)weight.Name.Aggregate(17L, (hash, letter) => unchecked(hash * 31 + letter));
        var scale = weight.Role is TensorRole.Norm ? 0.3f : weight.Role is TensorRole.Embedding ? 1 : shape.Count > 1 ? 1.5f / MathF.Sqrt(shape[^1]) : 0.2f;
        return [.. Enumerable.Range(0, (int)count).Select(i => (weight.Role is TensorRole.Norm ? 1 : 0) + scale * Uniform(key, i))];
    }

    private static float Uniform(ulong key, int index) => Philox.Block(key, (ulong)index, 0).Item1 / (float)uint.MaxValue * 2 - 1;
}
