using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Merging.Planning;
using MergeKit.Inference.Backends;
using MergeKit.Inference.Backends.Cpu;

namespace MergeKit.Inference.Runtime;

/// <summary>A merge that runs without having been written, and becomes the next merge in place.</summary>
public sealed class MergedModel : IDisposable
{
    private readonly MergedWeightSource _source;

    private MergedModel(MergedWeightSource source, LanguageModel model) => (_source, Model) = (source, model);

    /// <summary>The model. Its sessions do not survive <see cref="Rebuild"/>.</summary>
    public LanguageModel Model { get; }

    /// <summary>Elements of the present weights that are NaN or infinite.</summary>
    public long NotFinite => _source.NotFinite;

    /// <summary>Merges in memory and opens the result on the CPU.</summary>
    /// <param name="name">What to call it.</param>
    /// <param name="plan">The plan.</param>
    /// <param name="precision">Rounded like the written checkpoint, or float32.</param>
    /// <param name="threads">Workers of the model; null for one per processor.</param>
    /// <param name="cancellation">Stops the merge between chunks.</param>
    /// <exception cref="InputException">The plan has errors or is of raw state dicts, or the architecture cannot be run.</exception>
    public static MergedModel Open(
        string name, MergePlan plan, MemoryPrecision precision = MemoryPrecision.AsWritten, int? threads = null, CancellationToken cancellation = default) =>
        Open(name, plan, network => new CpuBackend(network, threads), precision, cancellation);

    /// <summary>The same on a backend of the caller's choice.</summary>
    public static MergedModel Open(
        string name, MergePlan plan, Func<NetworkSpec, IBackend> createBackend, MemoryPrecision precision = MemoryPrecision.AsWritten,
        CancellationToken cancellation = default)
    {
        var config = ModelConfig.Parse($"{name} (config.json)", plan.ConfigJson ?? throw new InputException(plan.IsExecutable
            ? [Problem.Error($"{name}: a merge of state dicts without a configuration cannot be run")]
            : plan.Problems));
        var source = new MergedWeightSource(name, plan, precision, cancellation);
        return new MergedModel(source, LanguageModel.FromSource(name, config, source, createBackend));
    }

    /// <summary>Becomes the result of another plan of the same output tensors and configuration, in the same memory. Waits for a pass that is running.</summary>
    /// <exception cref="InputException">The plan makes other tensors; the model is as before.</exception>
    public void Rebuild(MergePlan plan, CancellationToken cancellation = default) => Model.Rebind(() => _source.Rebuild(plan, cancellation));

    /// <inheritdoc/>
    public void Dispose() => Model.Dispose();
}
