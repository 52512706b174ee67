using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Numerics;
using MergeKit.Inference.Backends.Cpu.Kernels;
using MergeKit.Inference.Runtime;

namespace MergeKit.Benchmarks;

/// <summary>Random tensors for every weight of a configuration.</summary>
internal sealed unsafe class BlockWeights : IWeightSource
{
    private const int Piece = 1 << 16;
    private readonly Dictionary<string, (Block Block, WeightTensor Tensor)> _tensors = [];

    public BlockWeights(ModelConfig config, DType type)
    {
        foreach (var weight in ArchitectureCatalog.Get(config).Weights(config).Where(weight => !weight.Optional))
        {
            var elements = weight.Shape!.Aggregate(1L, (a, b) => a * b);
            var block = new Block(elements * type.Size());
            _tensors[weight.Name] = (block, new WeightTensor(block.Address, type, weight.Shape!));
            (Parameters, Bytes) = (Parameters + elements, Bytes + block.Bytes);
        }
    }

    public long Parameters { get; }

    public long Bytes { get; }

    public string Name => "random";

    public IEnumerable<string> Names => _tensors.Keys;

    public bool TryGet(string name, out WeightTensor tensor)
    {
        var found = _tensors.TryGetValue(name, out var entry);
        tensor = entry.Tensor;
        return found;
    }

    /// <summary>Reads every weight once.</summary>
    public void ReadAll(WorkerPool pool)
    {
        var pieces = _tensors.Values.SelectMany(entry => Enumerable.Range(0, (int)(entry.Block.Bytes / Piece)).Select(i => entry.Block.Address + (nint)i * Piece)).ToArray();
        var sinks = new byte[pool.Threads * 128];
        pool.For(pieces.Length, (index, worker) => sinks[worker * 128] ^= MemoryReader.Read((byte*)pieces[index], Piece));
    }

    public void Dispose()
    {
        foreach (var (block, _) in _tensors.Values)
            block.Dispose();
        _tensors.Clear();
    }
}
