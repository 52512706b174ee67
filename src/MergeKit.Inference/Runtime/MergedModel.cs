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
    private readonly MergedWeightSource? _source;
    private readonly CandidateWeights? _candidate;
    private readonly Func<LanguageModel>? _open;

    private MergedModel(MergedWeightSource source, LanguageModel model, Func<LanguageModel>? open) => (_source, Model, _open) = (source, model, open);

    private MergedModel(CandidateWeights candidate, LanguageModel model) => (_candidate, Model) = (candidate, model);

    /// <summary>The model. Its sessions do not survive <see cref="Rebuild"/>; on a backend that keeps weights of its own it is another object afterwards.</summary>
    public LanguageModel Model { get; private set; }

    /// <summary>Elements of the present weights that are NaN or infinite.</summary>
    public long NotFinite => _candidate?.NotFinite ?? _source!.NotFinite;

    /// <summary>Whether it is merged on a GPU, of parents that stay there.</summary>
    public bool OnDevice => _candidate is { OnDevice: true };

    /// <summary>What should be known about where the present weights were made.</summary>
    public IEnumerable<Problem> Notes => _candidate?.Refusals.Select(refusal => Problem.Warning($"not merged on the GPU: {refusal.Key}, as for tensor '{refusal.Value}'")) ?? [];

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

    /// <summary>Merges on a device and opens the result there: on a GPU the parents are sent once and stay, and every merge is made in the engine's weights.</summary>
    /// <param name="name">What to call it.</param>
    /// <param name="plan">The plan; its models must stay open for as long as <see cref="Rebuild"/> is called.</param>
    /// <param name="device">Where.</param>
    /// <param name="threads">Workers of the model on the CPU; null for one per processor.</param>
    /// <param name="cancellation">Stops the merge.</param>
    /// <exception cref="InputException">The plan has errors or is of raw state dicts, or the architecture cannot be run.</exception>
    /// <exception cref="EnvironmentException">The device was asked for by name and cannot be used, or has too little memory for parents and model.</exception>
    public static MergedModel Open(string name, MergePlan plan, DeviceChoice device, int? threads = null, CancellationToken cancellation = default)
    {
        if (device is { IsAuto: false, Cuda: null })
            return Open(name, plan, MemoryPrecision.AsWritten, threads, cancellation);
        var config = Config(name, plan);
        var candidate = new CandidateWeights(name, plan);
        var merged = new MergedModel(candidate, LanguageModel.FromCandidate(name, config, candidate, threads, device));
        try
        {
            merged.Rebuild(plan, cancellation);
            return merged;
        }
        catch
        {
            merged.Dispose();
            throw;
        }
    }

    /// <summary>Merges on the CPU and opens the result on a device, for a model that stays what it is: no parents are kept there.</summary>
    /// <param name="name">What to call it.</param>
    /// <param name="plan">The plan.</param>
    /// <param name="device">Where it runs.</param>
    /// <param name="threads">Workers of the model on the CPU; null for one per processor.</param>
    /// <param name="cancellation">Stops the merge between chunks.</param>
    /// <exception cref="InputException">The plan has errors or is of raw state dicts, or the architecture cannot be run.</exception>
    /// <exception cref="EnvironmentException">The device was asked for by name and cannot be used, or has too little memory.</exception>
    public static MergedModel OpenOnce(string name, MergePlan plan, DeviceChoice device, int? threads = null, CancellationToken cancellation = default) => Open(
        name, plan, (config, source) => LanguageModel.FromSource(name, config, source, threads, device), MemoryPrecision.AsWritten, cancellation);

    /// <summary>The same on a backend that copies weights to where it computes.</summary>
    /// <param name="name">What to call it.</param>
    /// <param name="plan">The plan.</param>
    /// <param name="createBackend">Makes the backend, for every candidate anew.</param>
    /// <param name="precision">Rounded like the written checkpoint, or float32.</param>
    /// <param name="cancellation">Stops the merge between chunks.</param>
    public static MergedModel Open(
        string name, MergePlan plan, Func<NetworkSpec, IBackend> createBackend, MemoryPrecision precision = MemoryPrecision.AsWritten,
        CancellationToken cancellation = default) =>
        Open(name, plan, (config, source) => LanguageModel.FromSource(name, config, source, createBackend), precision, cancellation);

    private static MergedModel Open(
        string name, MergePlan plan, Func<ModelConfig, IWeightSource, LanguageModel> make, MemoryPrecision precision, CancellationToken cancellation)
    {
        var config = Config(name, plan);
        var source = new MergedWeightSource(name, plan, precision, cancellation);
        try
        {
            LanguageModel Make() => make(config, new Lent(source));
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
        if (_candidate is { } candidate)
        {
            if (candidate.OnDevice)
                Model.Refresh(() => candidate.Fill(plan, cancellation));
            else
                Model.Rebind(() => candidate.Fill(plan, cancellation));
            return;
        }

        if (_open is null)
        {
            Model.Rebind(() => _source!.Rebuild(plan, cancellation));
            return;
        }

        _source!.Rebuild(plan, cancellation);
        Model.Dispose();
        Model = _open();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _candidate?.Detach();
        Model.Dispose();
        _source?.Dispose();
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
