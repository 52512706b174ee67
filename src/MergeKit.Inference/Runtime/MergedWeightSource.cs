using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Merging.Planning;

namespace MergeKit.Inference.Runtime;

/// <summary>The tensors of a merge that exists only in memory; the parents stay memory-mapped.</summary>
public sealed class MergedWeightSource : IWeightSource
{
    private readonly MemoryMerge _memory;

    /// <summary>Carries a plan out in memory.</summary>
    /// <param name="name">What to call the merge in messages.</param>
    /// <param name="plan">The plan; its models must stay open for as long as <see cref="Rebuild"/> is called, not for the weights themselves.</param>
    /// <param name="precision">Rounded to the output types like the written checkpoint, or left in float32.</param>
    /// <param name="cancellation">Stops between chunks.</param>
    /// <exception cref="InputException">The plan has errors.</exception>
    /// <exception cref="EnvironmentException">There is not enough memory.</exception>
    public MergedWeightSource(string name, MergePlan plan, MemoryPrecision precision = MemoryPrecision.AsWritten, CancellationToken cancellation = default)
    {
        Name = name;
        _memory = new MemoryMerge(plan, precision);
        try
        {
            NotFinite = _memory.Fill(plan, cancellation);
        }
        catch
        {
            _memory.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public IEnumerable<string> Names => _memory.Tensors.Select(tensor => tensor.Name);

    /// <summary>Elements of the present contents that are NaN or infinite.</summary>
    public long NotFinite { get; private set; }

    /// <inheritdoc/>
    public bool TryGet(string name, out WeightTensor tensor)
    {
        tensor = _memory.Find(name) is { } found ? new WeightTensor(found.Data, found.Type, found.Shape) : default;
        return tensor.Data != 0;
    }

    /// <summary>Carries out another plan of the same output tensors in the same memory. Nobody may use the tensors meanwhile, and a model made of
    /// them must bind them anew: <see cref="MergedModel"/> sees to both.</summary>
    public void Rebuild(MergePlan plan, CancellationToken cancellation = default) => NotFinite = _memory.Fill(plan, cancellation);

    /// <inheritdoc/>
    public void Dispose() => _memory.Dispose();
}
