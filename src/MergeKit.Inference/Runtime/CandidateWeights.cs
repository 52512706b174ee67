using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Merging.Planning;
using MergeKit.Inference.Backends.Cuda;
using MergeKit.Inference.Backends.Cuda.Merging;

namespace MergeKit.Inference.Runtime;

/// <summary>The weights of a model that becomes one merge after the other: in the host's memory, or, once attached to a GPU, in the engine's weights there,
/// made of parents that stay on the device.</summary>
internal sealed class CandidateWeights(string name, MergePlan plan) : IWeightSource
{
    private readonly MemoryMerge _memory = new(plan);
    private DeviceMerge? _device;

    /// <inheritdoc/>
    public string Name => name;

    /// <inheritdoc/>
    public IEnumerable<string> Names => _memory.Tensors.Select(tensor => tensor.Name);

    /// <summary>Elements of the present weights that are NaN or infinite.</summary>
    public long NotFinite { get; private set; }

    /// <summary>Whether the weights are made on a GPU.</summary>
    public bool OnDevice => _device is not null;

    /// <summary>Why some tensors of the present weights were made on the CPU, with one of them each.</summary>
    public IReadOnlyDictionary<string, string> Refusals => _device?.Refusals ?? new Dictionary<string, string>();

    /// <summary>Bytes that the parents take on a GPU, and the merge's own tables.</summary>
    public long DeviceBytes { get; } = ResidentParents.BytesOf(plan) + MergeTables;

    private static long MergeTables => 256L << 20;

    /// <inheritdoc/>
    public bool TryGet(string tensorName, out WeightTensor tensor)
    {
        tensor = _memory.Find(tensorName) is { } found ? new WeightTensor(found.Data, found.Type, found.Shape) : default;
        return tensor.Data != 0;
    }

    /// <summary>From here on weights are made on a device; an engine that is bound to this source notes there where they lie.</summary>
    public WeightLandings Attach(CudaContext cuda, CudaType type)
    {
        var landings = new WeightLandings();
        _device = new DeviceMerge(cuda, type, _memory, landings);
        return landings;
    }

    /// <summary>Carries out a plan of the same output tensors.</summary>
    /// <exception cref="Core.Diagnostics.InputException">The plan makes other tensors; nothing was changed.</exception>
    public void Fill(MergePlan next, CancellationToken cancellation = default) =>
        NotFinite = _device?.Fill(next, null, cancellation) ?? _memory.Fill(next, cancellation);

    /// <inheritdoc/>
    public void Dispose() => _memory.Dispose();

    /// <summary>Gives device memory back; before the device itself goes.</summary>
    public void Detach()
    {
        _device?.Dispose();
        _device = null;
    }
}
