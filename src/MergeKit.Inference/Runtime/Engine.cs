using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Numerics;
using MergeKit.Inference.Backends;

namespace MergeKit.Inference.Runtime;

/// <summary>Makes the backend of a model from what is known before its weights are bound.</summary>
internal delegate IBackend BackendMaker(Architecture architecture, ModelConfig config, NetworkSpec network, IWeightSource source);

/// <summary>A network with its weights on a backend. Passes are serialised by <see cref="Enter"/>.</summary>
internal sealed class Engine : IDisposable
{
    private readonly ModelConfig _config;
    private readonly IWeightSource _source;
    private readonly Engine? _owner;
    private readonly Lock _gate;
    private readonly Action? _reread;
    private bool _disposed;

    private Engine(
        ModelConfig config, Architecture architecture, NetworkSpec network, IWeightSource source, IBackend backend, NetworkWeights weights, IReadOnlyList<Problem> warnings,
        Engine? owner = null, Action? reread = null)
    {
        (_config, Architecture, Network, _source, Backend, Weights, Warnings) = (config, architecture, network, source, backend, weights, warnings);
        (_owner, _gate, _reread) = (owner, owner?._gate ?? new Lock(), reread);
        Transformer = new Transformer(backend, weights);
    }

    public Architecture Architecture { get; }

    public NetworkSpec Network { get; }

    public IBackend Backend { get; }

    public NetworkWeights Weights { get; private set; }

    public Transformer Transformer { get; }

    public IReadOnlyList<Problem> Warnings { get; }

    /// <summary>Bytes of all stored tensors.</summary>
    public long WeightBytes => _source.Names.Sum(name => _source.TryGet(name, out var tensor) ? tensor.Shape.Aggregate((long)tensor.Type.Size(), (product, extent) => product * extent) : 0);

    /// <summary>Held during a pass and while its result is read.</summary>
    /// <exception cref="ObjectDisposedException">The weights are gone.</exception>
    public Lock.Scope Enter()
    {
        var scope = _gate.EnterScope();
        if (!IsGone)
            return scope;
        scope.Dispose();
        throw Gone();
    }

    /// <summary>Takes the engine if nobody has it; <see cref="Exit"/> gives it back.</summary>
    /// <exception cref="ObjectDisposedException">The weights are gone.</exception>
    public bool TryEnter()
    {
        if (!_gate.TryEnter())
            return false;
        if (!IsGone)
            return true;
        _gate.Exit();
        throw Gone();
    }

    /// <summary>Gives back what <see cref="TryEnter"/> took.</summary>
    public void Exit() => _gate.Exit();

    /// <summary>Binds a source's tensors; the engine owns the source from here on, also where this fails.</summary>
    public static Engine Create(ModelConfig config, IWeightSource source, bool encoder, BackendMaker createBackend)
    {
        IBackend? backend = null;
        try
        {
            var architecture = ArchitectureCatalog.Get(config);
            if (architecture.IsEncoder != encoder)
                throw new InputException(encoder
                    ? $"{config.File}: {architecture.Name} is a causal language model; an encoder is wanted"
                    : $"{config.File}: {architecture.Name} is a bidirectional encoder: it gives no distribution over the next token");
            var network = architecture.Network(config);
            backend = createBackend(architecture, config, network, source);
            var warnings = new List<Problem>();
            var (weights, reread) = WeightLoader.Load(architecture, config, network, source, backend, warnings);
            return new Engine(config, architecture, network, source, backend, weights, warnings, reread: reread);
        }
        catch
        {
            backend?.Dispose();
            source.Dispose();
            throw;
        }
    }

    /// <summary>An engine with other weights on the same backend, most of them shared; it lasts no longer than this one, and their passes take turns.</summary>
    public Engine Derive(Func<NetworkWeights, NetworkWeights> change) =>
        new(_config, Architecture, Network, _source, Backend, change(Weights), Warnings, _owner ?? this);

    /// <summary>Calls <paramref name="write"/>, which may change the source's memory, while no pass runs; then binds all tensors anew.
    /// A backend that keeps weights of its own loads them again.</summary>
    public void Rebind(Action write)
    {
        using (Enter())
        {
            write();
            (Weights, _) = WeightLoader.Load(Architecture, _config, Network, _source, Backend, []);
            Transformer.Rebind(Weights);
        }
    }

    /// <summary>Calls <paramref name="write"/>, which may change the backend's matrices where they lie and the source's vectors, while no pass runs; the
    /// weights stay the same objects, so that what was recorded with them stays good.</summary>
    public void Refresh(Action write)
    {
        using (Enter())
        {
            write();
            _reread!();
            Backend.VectorsChanged();
        }
    }

    /// <summary>Fails where an id has no embedding.</summary>
    public void CheckIds(string name, ReadOnlySpan<int> ids)
    {
        foreach (var id in ids)
            if (id < 0 || id >= Network.VocabularySize)
                throw new InputException($"{name}: token id {id} is outside the vocabulary of {Network.VocabularySize}");
    }

    /// <summary>Fails where a sequence would become longer than the network allows.</summary>
    public void CheckLength(string name, long length)
    {
        if (length > Network.MaxLength)
            throw new InputException($"{name}: a sequence of {length} tokens is longer than the model's context of {Network.MaxLength}");
    }

    private bool IsGone => _disposed || _owner is { _disposed: true };

    private static ObjectDisposedException Gone() => new(nameof(LanguageModel), "the model was disposed of");

    public void Dispose()
    {
        lock (_gate)
        {
            if (_disposed)
                return;
            _disposed = true;
            Transformer.Dispose();
            if (_owner is not null)
                return;
            Backend.Dispose();
            _source.Dispose();
        }
    }
}
