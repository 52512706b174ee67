using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using MergeKit.Core.Merging;
using MergeKit.Core.Merging.Execution;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Moe;

/// <summary>The tensors of a model that is only planned: copies are lent from their files, the rest is worked out in memory.</summary>
/// <param name="name">What to call it in messages.</param>
/// <param name="jobs">The tensors.</param>
/// <param name="seed">The run's random seed.</param>
public sealed class PlannedWeights(string name, IReadOnlyList<TensorJob> jobs, ulong seed) : IWeightSource
{
    private readonly Dictionary<string, TensorJob> _jobs = jobs.ToDictionary(job => job.Name, StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, Lazy<byte[]>> _made = new(StringComparer.Ordinal);

    /// <inheritdoc/>
    public string Name => name;

    /// <inheritdoc/>
    public IEnumerable<string> Names => _jobs.Keys;

    /// <inheritdoc/>
    public unsafe bool TryGet(string name, out WeightTensor tensor)
    {
        tensor = default;
        if (!_jobs.TryGetValue(name, out var job))
            return false;
        if (job.Method.IsCopy(job) && job.Sources[0].Data is { Verbatim: { } stored } && stored.Tensor.DType == job.OutputType && stored.Tensor.ElementCount == job.Count)
        {
            tensor = new WeightTensor(stored.Checkpoint.Map(stored.Tensor).Pointer, job.OutputType, job.Shape);
            return true;
        }

        var bytes = _made.GetOrAdd(name, _ => new Lazy<byte[]>(() => JobMemory.Make(job, seed))).Value;
        tensor = new WeightTensor((nint)System.Runtime.CompilerServices.Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(bytes)), job.OutputType, job.Shape);
        return true;
    }

    /// <summary>The files belong to the plan.</summary>
    public void Dispose() => _made.Clear();
}
