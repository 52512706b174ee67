using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;
using MergeKit.Inference.Backends;

namespace MergeKit.Inference.Runtime;

/// <summary>A bidirectional encoder with a masked-language-model head. Thread-safe.</summary>
public sealed class MaskedLanguageModel : IDisposable
{
    private readonly Engine _engine;

    private readonly IReadOnlyList<Problem> _notes;

    private MaskedLanguageModel(string name, Engine engine, IReadOnlyList<Problem>? notes = null) => (Name, _engine, _notes) = (name, engine, notes ?? []);

    /// <summary>What to call it in tables.</summary>
    public string Name { get; }

    /// <summary>The network's declaration.</summary>
    public NetworkSpec Network => _engine.Network;

    /// <summary>What was odd but usable when the device was chosen and the weights were bound.</summary>
    public IReadOnlyList<Problem> Warnings => [.. _notes, .. _engine.Warnings];

    /// <summary>Opens a model folder.</summary>
    /// <param name="folder">A folder with config.json and safetensors files.</param>
    /// <param name="threads">Workers on the CPU; null for one per processor.</param>
    /// <param name="device">Where it runs.</param>
    /// <exception cref="InputException">The architecture or a configuration key is not understood, or tensors do not fit the configuration.</exception>
    /// <exception cref="EnvironmentException">The device cannot be used, or has too little memory for the model.</exception>
    public static MaskedLanguageModel Open(string folder, int? threads = null, DeviceChoice device = default)
    {
        var config = ModelConfig.Read(folder);
        ArchitectureCatalog.Get(config);
        var name = Path.GetFileName(Path.TrimEndingDirectorySeparator(folder));
        return FromSource(name, config, new CheckpointWeightSource(Checkpoint.Open(folder)), threads, device);
    }

    /// <summary>Makes a model of a configuration and any source of tensors, which it then owns.</summary>
    public static MaskedLanguageModel FromSource(string name, ModelConfig config, IWeightSource source, int? threads = null, DeviceChoice device = default)
    {
        var factory = new BackendFactory(device, threads);
        return new(name, Engine.Create(config, source, encoder: true, factory.Create), factory.Notes);
    }

    /// <summary>Makes a model of a configuration and any source of tensors, on a backend of the caller's choice.</summary>
    public static MaskedLanguageModel FromSource(string name, ModelConfig config, IWeightSource source, Func<NetworkSpec, IBackend> createBackend) =>
        new(name, Engine.Create(config, source, encoder: true, (_, _, network, _) => createBackend(network)));

    /// <summary>Runs one sequence. Positions with mask 0 are left out of it: nothing attends to them, and their rows of the result stay 0.</summary>
    /// <param name="ids">Token ids.</param>
    /// <param name="attentionMask">1 for tokens, 0 for padding; empty for all 1.</param>
    /// <param name="tokenTypes">Segment of each token; empty for all 0.</param>
    /// <param name="options">What to keep.</param>
    /// <exception cref="InputException">Ids or types outside their tables, a sequence that is too long or has no token, or lengths that differ.</exception>
    public ForwardTrace Trace(ReadOnlySpan<int> ids, ReadOnlySpan<int> attentionMask, ReadOnlySpan<int> tokenTypes, TraceOptions options)
    {
        var kept = Check(ids, attentionMask, tokenTypes);
        var rows = PositionRows(ids);
        var (keptIds, keptRows, keptTypes) = (new int[kept.Length], new int[kept.Length], new int[kept.Length]);
        for (var i = 0; i < kept.Length; i++)
            (keptIds[i], keptRows[i], keptTypes[i]) = (ids[kept[i]], rows[kept[i]], tokenTypes.IsEmpty ? 0 : tokenTypes[kept[i]]);
        using var cache = _engine.Backend.CreateCache();
        var trace = Tracer.Run(_engine, ForwardBatch.Whole(cache, keptIds, keptRows, keptTypes), options)[0];
        return kept.Length == ids.Length ? trace : Spread(trace, kept, ids.Length);
    }

    /// <inheritdoc/>
    public void Dispose() => _engine.Dispose();

    private int[] Check(ReadOnlySpan<int> ids, ReadOnlySpan<int> mask, ReadOnlySpan<int> types)
    {
        if ((!mask.IsEmpty && mask.Length != ids.Length) || (!types.IsEmpty && types.Length != ids.Length))
            throw new InputException($"{Name}: {ids.Length} ids, {mask.Length} mask entries and {types.Length} token types do not belong together");
        _engine.CheckIds(Name, ids);
        _engine.CheckLength(Name, ids.Length);
        var typeCount = Network.Embedding.TokenTypes?.Shape[0] ?? 1;
        foreach (var type in types)
            if (type < 0 || type >= typeCount)
                throw new InputException($"{Name}: token type {type} is outside the {typeCount} of the model");
        var kept = new List<int>();
        for (var i = 0; i < ids.Length; i++)
            if (mask.IsEmpty || mask[i] != 0)
                kept.Add(i);
        return kept.Count > 0 ? [.. kept] : throw new InputException($"{Name}: the sequence has no token that is not masked");
    }

    private int[] PositionRows(ReadOnlySpan<int> ids)
    {
        var (rows, padding, count) = (new int[ids.Length], Network.Embedding.PositionsAfterPadding, 0);
        for (var i = 0; i < ids.Length; i++)
            rows[i] = padding is not { } id ? i : ids[i] == id ? id : id + ++count;
        return rows;
    }

    private ForwardTrace Spread(ForwardTrace trace, int[] kept, int length) => trace with
    {
        Tokens = length,
        Logits = Spread(trace.Logits, kept, length),
        HiddenStates = [.. trace.HiddenStates.Select(values => Spread(values, kept, length))],
    };

    private static float[] Spread(float[] values, int[] kept, int length)
    {
        var width = values.Length / kept.Length;
        var result = new float[(long)length * width];
        for (var i = 0; i < kept.Length; i++)
            values.AsSpan(i * width, width).CopyTo(result.AsSpan(kept[i] * width, width));
        return result;
    }
}
