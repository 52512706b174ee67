using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Inputs;
using MergeKit.Core.Models;
using MergeKit.Inference.Backends;
using MergeKit.Inference.Backends.Cpu;

namespace MergeKit.Inference.Runtime;

/// <summary>A causal language model run by this engine. Thread-safe; passes of one model run one after the other.</summary>
public sealed class LanguageModel : ILanguageModel
{
    private readonly Engine _engine;

    private LanguageModel(string name, Engine engine) => (Name, _engine) = (name, engine);

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

    /// <summary>What was odd but usable when the weights were bound.</summary>
    public IReadOnlyList<Problem> Warnings => _engine.Warnings;

    /// <summary>Opens a model. Weights stay where they are, memory-mapped, unless they are quantised or adapted: those are made in memory.</summary>
    /// <param name="model">A folder, a .gguf file, a hub id in the local cache, <c>model@revision</c> or <c>model+adapter</c>.</param>
    /// <param name="threads">Workers; null for one per processor.</param>
    /// <exception cref="InputException">The architecture or a configuration key is not understood, or tensors do not fit the configuration.</exception>
    public static LanguageModel Open(string model, int? threads = null)
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
        return FromSource(name, input.Config!, new CheckpointWeightSource(input.Checkpoint), threads);
    }

    /// <summary>Makes a model of a configuration and any source of tensors, on the CPU.</summary>
    /// <param name="name">What to call it.</param>
    /// <param name="config">The configuration.</param>
    /// <param name="source">The tensors; disposed of together with the model, also where this fails.</param>
    /// <param name="threads">Workers; null for one per processor.</param>
    public static LanguageModel FromSource(string name, ModelConfig config, IWeightSource source, int? threads = null) =>
        FromSource(name, config, source, network => new CpuBackend(network, threads));

    /// <summary>Makes a model of a configuration and any source of tensors, on a backend of the caller's choice.</summary>
    /// <param name="name">What to call it.</param>
    /// <param name="config">The configuration.</param>
    /// <param name="source">The tensors; disposed of together with the model, also where this fails.</param>
    /// <param name="createBackend">Makes the backend for the network that the configuration describes.</param>
    public static LanguageModel FromSource(string name, ModelConfig config, IWeightSource source, Func<NetworkSpec, IBackend> createBackend) =>
        new(name, Engine.Create(config, source, encoder: false, createBackend));

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
    public ILogitRows Rows(IReadOnlyList<ScoreRequest> requests) => new BatchScorer(Name, _engine).Rows(requests);

    /// <inheritdoc/>
    public ILogitRows Rows(ISession session, ReadOnlySpan<int> continuation) => ((Session)session).Rows(continuation);

    /// <summary>Runs whole sequences in one ragged batch and keeps what <paramref name="options"/> ask for at every position.</summary>
    /// <exception cref="InputException">A sequence is empty, too long, or has ids outside the vocabulary.</exception>
    public IReadOnlyList<ForwardTrace> Trace(IReadOnlyList<ReadOnlyMemory<int>> sequences, TraceOptions options) =>
        Tracer.Run(Name, _engine, sequences, options);

    /// <summary>Lets the source's memory be written between two passes, and binds the tensors anew.</summary>
    internal void Rebind(Action write) => _engine.Rebind(write);

    /// <inheritdoc/>
    public void Dispose() => _engine.Dispose();
}
