using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Merging.Planning;
using MergeKit.Inference.Backends;

namespace MergeKit.Inference.Runtime;

/// <summary>A merge that runs without having been written, and becomes the next merge in place.</summary>
public sealed class MergedModel : IDisposable
{
    private readonly MergedWeightSource _source;
    private readonly Func<LanguageModel>? _open;

    private MergedModel(MergedWeightSource source, LanguageModel model, Func<LanguageModel>? open) => (_source, Model, _open) = (source, model, open);

    /// <summary>The model. Its sessions do not survive <see cref="Rebuild"/>; on a backend that keeps weights of its own it is another object afterwards.</summary>
    public LanguageModel Model { get; private set; }

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
        string name, MergePlan plan, MemoryPrecision precision = MemoryPrecision.AsWritten, int? threads = null, CancellationToken cancellation = default)
    {
        var config = Config(name, plan);
        var source = new MergedWeightSource(name, plan, precision, cancellation);
        return new MergedModel(source, LanguageModel.FromSource(name, config, source, threads), null);
    }

    /// <summary>The same on a backend that copies weights to where it computes.</summary>
    /// <param name="name">What to call it.</param>
    /// <param name="plan">The plan.</param>
    /// <param name="createBackend">Makes the backend, for every candidate anew.</param>
    /// <param name="precision">Rounded like the written checkpoint, or float32.</param>
    /// <param name="cancellation">Stops the merge between chunks.</param>
    public static MergedModel Open(
        string name, MergePlan plan, Func<NetworkSpec, IBackend> createBackend, MemoryPrecision precision = MemoryPrecision.AsWritten,
        CancellationToken cancellation = default)
    {
        var config = Config(name, plan);
        var source = new MergedWeightSource(name, plan, precision, cancellation);
        try
        {
            LanguageModel Make() => LanguageModel.FromSource(name, config, new Lent(source), createBackend);
            return new MergedModel(source, Make(), Make);
        }
        catch
        {
            source.Dispose();
            throw;
        }
    }

    /// <summary>Becomes the result of another plan of the same output tensors and configuration, in the same memory. Waits for a pass that is running.</summary>
    /// <exception cref="InputException">The plan makes other tensors; the model is as before.</exception>
    public void Rebuild(MergePlan plan, CancellationToken cancellation = default)
    {
        if (_open is null)
        {
            Model.Rebind(() => _source.Rebuild(plan, cancellation));
            return;
        }

        _source.Rebuild(plan, cancellation);
        Model.Dispose();
        Model = _open();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Model.Dispose();
        _source.Dispose();
    }

    private static ModelConfig Config(string name, MergePlan plan) => ModelConfig.Parse($"{name} (config.json)", plan.ConfigJson ?? throw new InputException(plan.IsExecutable
        ? [Problem.Error($"{name}: a merge of state dicts without a configuration cannot be run")]
        : plan.Problems));

    /// <summary>A source that outlives the models made of it.</summary>
    private sealed class Lent(IWeightSource source) : IWeightSource
    {
        public string Name => source.Name;

        public IEnumerable<string> Names => source.Names;

        public bool TryGet(string name, out WeightTensor tensor) => source.TryGet(name, out tensor);

        public void Dispose()
        {
        }
    }
}
