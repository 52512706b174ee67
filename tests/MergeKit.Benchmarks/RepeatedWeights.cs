using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Models;
using MergeKit.Core.Numerics;
using MergeKit.Inference.Runtime;

namespace MergeKit.Benchmarks;

/// <summary>bfloat16 tensors that all lie in one block of random numbers, each from a place of its own on.</summary>
internal sealed class RepeatedWeights : IWeightSource
{
    private const int Step = 4096;
    private readonly Block _block;
    private readonly Dictionary<string, WeightTensor> _tensors = new(StringComparer.Ordinal);

    public RepeatedWeights(ModelConfig config)
    {
        var architecture = ArchitectureCatalog.Get(config);
        var tied = architecture.Network(config).Head.Tied;
        var weights = architecture.Weights(config).Where(weight => !weight.Optional || (weight.Role == TensorRole.Head && !tied)).ToList();
        _block = new Block(weights.Max(Bytes) + (long)Step * weights.Count);
        for (var i = 0; i < weights.Count; i++)
            _tensors[weights[i].Name] = new WeightTensor(_block.Address + i * Step, DType.BF16, weights[i].Shape!);
    }

    public string Name => "random";

    public IEnumerable<string> Names => _tensors.Keys;

    public bool TryGet(string name, out WeightTensor tensor) => _tensors.TryGetValue(name, out tensor);

    public void Dispose() => _block.Dispose();

    private static long Bytes(WeightSpec weight) => weight.Shape!.Aggregate(2L, (product, extent) => product * extent);
}
