using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Inputs;
using MergeKit.Core.Models;
using MergeKit.Inference.Backends;
using MergeKit.Inference.Backends.Cpu;

namespace MergeKit.Inference.Runtime;

/// <summary>A causal language model run by this engine. Thread-safe; passes of one model run one after the other.</summary>
public sealed class LanguageModel : IBatchGenerator
{
    private readonly Engine _engine;

    private readonly IReadOnlyList<Problem> _notes;

    private LanguageModel(string name, Engine engine, IReadOnlyList<Problem>? notes = null) => (Name, _engine, _notes) = (name, engine, notes ?? []);

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public int VocabularySize => _engine.Network.VocabularySize;

    /// <inheritdoc/>
    public int MaxLength => _engine.Network.MaxLength;

    /// <summary>The network's declaration.</summary>
    public NetworkSpec Network => _engine.Network;

    /// <summary>Bytes of all weights.</summary>
    public long WeightBytes => _engine.WeightBytes;

    /// <summary>What was odd but usable when the device was chosen and the weights were bound.</summary>
    public IReadOnlyList<Problem> Warnings => [.. _notes, .. _engine.Warnings];

    /// <summary>Opens a model. On the CPU weights stay where they are, memory-mapped, unless they are quantised or adapted: those are made in memory.
    /// On a GPU they are float32 where they are stored so, else bfloat16.</summary>
    /// <param name="model">A folder, a .gguf file, a hub id in the local cache, <c>model@revision</c> or <c>model+adapter</c>.</param>
    /// <param name="threads">Workers on the CPU; null for one per processor.</param>
    /// <param name="device">Where it runs.</param>
    /// <exception cref="InputException">The architecture or a configuration key is not understood, or tensors do not fit the configuration.</exception>
    /// <exception cref="EnvironmentException">The device cannot be used, or has too little memory for the model.</exception>
    public static LanguageModel Open(string model, int? threads = null, DeviceChoice device = default)
    {
        var input = ModelInput.Open(model);
        try
        {
            ArchitectureCatalog.Get(input.Config!);
        }
        catch
        {
            input.Dispose();
            throw;
        }

        var name = Path.GetFileName(Path.TrimEndingDirectorySeparator(model));
        return FromSource(name, input.Config!, new CheckpointWeightSource(input.Checkpoint), threads, device);
    }

    /// <summary>Makes a model of a configuration and any source of tensors.</summary>
    /// <param name="name">What to call it.</param>
    /// <param name="config">The configuration.</param>
    /// <param name="source">The tensors; disposed of together with the model, also where this fails.</param>
    /// <param name="threads">Workers on the CPU; null for one per processor.</param>
    /// <param name="device">Where it runs.</param>
    /// <exception cref="EnvironmentException">The device cannot be used, or has too little memory for the model.</exception>
    public static LanguageModel FromSource(string name, ModelConfig config, IWeightSource source, int? threads = null, DeviceChoice device = default)
    {
        var factory = new BackendFactory(device, threads);
        return new(name, Engine.Create(config, source, encoder: false, factory.Create), factory.Notes);
    }

    /// <summary>Makes a model whose weights become one merge after the other, on a GPU in place.</summary>
    internal static LanguageModel FromCandidate(string name, ModelConfig config, CandidateWeights candidate, int? threads, DeviceChoice device)
    {
        var factory = new BackendFactory(device, threads, candidate);
        return new(name, Engine.Create(config, candidate, encoder: false, factory.Create), factory.Notes);
    }

    /// <summary>Makes a model of a configuration and any source of tensors, on a backend of the caller's choice.</summary>
    /// <param name="name">What to call it.</param>
    /// <param name="config">The configuration.</param>
    /// <param name="source">The tensors; disposed of together with the model, also where this fails.</param>
    /// <param name="createBackend">Makes the backend for the network that the configuration describes.</param>
    public static LanguageModel FromSource(string name, ModelConfig config, IWeightSource source, Func<NetworkSpec, IBackend> createBackend) =>
        new(name, Engine.Create(config, source, encoder: false, (_, _, network, _) => createBackend(network)));

    /// <summary>The model with dropout (Gal and Ghahramani 2016): a fixed choice of units is left out of what every block reads. It shares this
    /// model's weights and lasts no longer than it.</summary>
    /// <param name="rate">The share of units left out, above 0 and below 1.</param>
    /// <param name="seed">Decides, together with the pass, which units.</param>
    /// <param name="pass">Number of the choice.</param>
    /// <exception cref="InputException">The architecture has no norm before its blocks.</exception>
    public LanguageModel WithDropout(double rate, int seed, int pass) =>
        new(Name, _engine.Derive(weights => Dropout.Apply(Name, weights, rate, seed, pass)));

    /// <inheritdoc/>
    public ISession Open() => new Session(Name, _engine);

    /// <inheritdoc/>
    public IReadOnlyList<TokenScores> Score(IReadOnlyList<ScoreRequest> requests) => new BatchScorer(Name, _engine).Score(requests);

    /// <inheritdoc/>
    public void Generate(IReadOnlyList<ReadOnlyMemory<int>> prompts, Func<int, int, bool> goOn, CancellationToken cancellation = default) =>
        new ContinuousBatch(Name, _engine).Run(prompts, goOn, cancellation);

    /// <inheritdoc/>
    public ILogitRows Rows(IReadOnlyList<ScoreRequest> requests) => new BatchScorer(Name, _engine).Rows(requests);

    /// <inheritdoc/>
    public ILogitRows Rows(ISession session, ReadOnlySpan<int> continuation) => ((Session)session).Rows(continuation);

    /// <inheritdoc/>
    public void Append(IReadOnlyList<(ISession Session, ReadOnlyMemory<int> Ids)> parts) => Session.Append(parts);

    /// <summary>Runs whole sequences in one ragged batch and keeps what <paramref name="options"/> ask for at every position.</summary>
    /// <exception cref="InputException">A sequence is empty, too long, or has ids outside the vocabulary.</exception>
    public IReadOnlyList<ForwardTrace> Trace(IReadOnlyList<ReadOnlyMemory<int>> sequences, TraceOptions options) =>
        Tracer.Run(Name, _engine, sequences, options);

    /// <summary>Whether it runs on the CPU.</summary>
    internal bool IsOnCpu => _engine.Backend is CpuBackend;

    /// <summary>On the CPU: leaves some of its threads to models that run at the same time.</summary>
    internal void UseThreads(int threads)
    {
        using (_engine.Enter())
            (_engine.Backend as CpuBackend)?.UseThreads(threads);
    }

    /// <summary>Lets the source's memory be written between two passes, and binds the tensors anew.</summary>
    internal void Rebind(Action write) => _engine.Rebind(write);

    /// <summary>Lets weights be written where they lie between two passes.</summary>
    internal void Refresh(Action write) => _engine.Refresh(write);

    /// <inheritdoc/>
    public void Dispose() => _engine.Dispose();
}
