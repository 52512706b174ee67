using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Numerics;
using MergeKit.Inference.Backends.Cpu.Kernels;

namespace MergeKit.Inference.Runtime;

/// <summary>Finds tensors under any of their names, checks type and shape, and collects every problem.</summary>
internal sealed class TensorLookup
{
    private readonly IWeightSource _source;
    private readonly Dictionary<string, WeightSpec> _specs;
    private readonly HashSet<string> _used = new(StringComparer.Ordinal);

    public TensorLookup(IWeightSource source, IEnumerable<WeightSpec> specs)
    {
        _source = source;
        _specs = specs.ToDictionary(spec => spec.Name, StringComparer.Ordinal);
    }

    /// <summary>What was found wrong so far.</summary>
    public List<Problem> Problems { get; } = [];

    /// <summary>Stored tensors that were never asked for.</summary>
    public IEnumerable<string> Unused => _source.Names.Where(name => !_used.Contains(name));

    /// <summary>Whether a tensor is stored under any of its names.</summary>
    public bool Has(string name) => TryFind(name, out _, out _);

    /// <summary>Counts a stored tensor as known.</summary>
    public void Accept(string name)
    {
        foreach (var known in NamesOf(name))
            _used.Add(known);
    }

    /// <summary>A tensor of the given shape; a problem, and an empty tensor, where there is none.</summary>
    public WeightTensor Find(string name, params IReadOnlyList<long> shape)
    {
        if (!TryFind(name, out var tensor, out var stored))
        {
            Problems.Add(Problem.Error($"{_source.Name}: lacks tensor '{name}' ({TensorInfo.Text(shape)})"));
            return new WeightTensor(0, DType.F32, shape);
        }

        _used.Add(stored);
        if (!tensor.Shape.SequenceEqual(shape))
            Problems.Add(Problem.Error($"{_source.Name}: tensor '{stored}' has the shape {TensorInfo.Text(tensor.Shape)}; the configuration implies {TensorInfo.Text(shape)}"));
        else if (!tensor.Type.IsFloat())
            Problems.Add(Problem.Error($"{_source.Name}: tensor '{stored}' has the type {tensor.Type.SafetensorsName()}; a floating-point type is wanted"));
        else
            return tensor;
        return new WeightTensor(0, DType.F32, shape);
    }

    /// <summary>A small tensor widened to float32; zeros where a problem was noted.</summary>
    public float[] Read(string name, params IReadOnlyList<long> shape)
    {
        var tensor = Find(name, shape);
        var values = new float[shape.Aggregate(1L, (product, extent) => product * extent)];
        if (tensor.Data != 0)
            Widening.ToSingle(tensor.Data, tensor.Type, values);
        return values;
    }

    private bool TryFind(string name, out WeightTensor tensor, out string stored)
    {
        foreach (var candidate in NamesOf(name))
        {
            stored = candidate;
            if (_source.TryGet(candidate, out tensor))
                return true;
        }

        (tensor, stored) = (default, name);
        return false;
    }

    private IEnumerable<string> NamesOf(string name) => _specs.TryGetValue(name, out var spec) ? spec.AllNames : [name];
}
