using MergeKit.Core.Diagnostics;
using MergeKit.Inference.Backends;

namespace MergeKit.Inference.Runtime;

/// <summary>Runs a batch and copies out what was asked for.</summary>
internal sealed class Tracer : IForwardObserver
{
    private readonly Engine _engine;
    private readonly TraceOptions _options;
    private readonly List<float[]> _hidden = [];
    private readonly SortedDictionary<int, RouterChoice> _routers = [];

    private Tracer(Engine engine, TraceOptions options) => (_engine, _options) = (engine, options);

    /// <summary>Runs sequences of a causal model.</summary>
    public static IReadOnlyList<ForwardTrace> Run(string name, Engine engine, IReadOnlyList<ReadOnlyMemory<int>> sequences, TraceOptions options)
    {
        if (sequences.Count == 0)
            return [];
        foreach (var ids in sequences)
        {
            if (ids.IsEmpty)
                throw new InputException($"{name}: a sequence has no tokens");
            engine.CheckLength(name, ids.Length);
            engine.CheckIds(name, ids.Span);
        }

        var (longest, vocabulary) = (sequences.Max(ids => ids.Length), engine.Network.VocabularySize);
        if (options.Logits && (long)longest * vocabulary > Array.MaxLength)
            throw new InputException($"{name}: logits of {longest} tokens x {vocabulary} ids do not fit in one array; give shorter sequences");
        var caches = sequences.Select(_ => engine.Backend.CreateCache()).ToList();
        try
        {
            return Run(engine, ForwardBatch.Continue([.. caches.Zip(sequences, (cache, ids) => new SequencePart(cache, ids))]), options);
        }
        finally
        {
            caches.ForEach(cache => cache.Dispose());
        }
    }

    /// <summary>Runs a batch.</summary>
    public static IReadOnlyList<ForwardTrace> Run(Engine engine, ForwardBatch batch, TraceOptions options)
    {
        var tracer = new Tracer(engine, options);
        using (engine.Enter())
        {
            var output = engine.Transformer.Forward(batch, tracer);
            return [.. batch.Sequences.Select(sequence => tracer.Collect(sequence, output))];
        }
    }

    /// <inheritdoc/>
    public void AfterLayer(int layer, IBuffer hidden)
    {
        if (!_options.HiddenStates)
            return;
        var values = new float[(long)hidden.Rows * hidden.Columns];
        _engine.Backend.Read(hidden, 0, values);
        _hidden.Add(values);
    }

    /// <inheritdoc/>
    public RouterChoice? RouterOf(int layer) => _options.Routers ? _routers[layer] = new RouterChoice() : null;

    private ForwardTrace Collect(SequenceSpan sequence, IBuffer output)
    {
        var (vocabulary, width) = (_engine.Network.VocabularySize, _engine.Network.HiddenSize);
        var logits = _options.Logits ? new float[(long)sequence.Count * vocabulary] : [];
        for (var token = 0; token < sequence.Count && _options.Logits; token++)
            _engine.Backend.Logits(_engine.Weights.Head, output, sequence.Start + token, logits.AsSpan(token * vocabulary, vocabulary));
        return new ForwardTrace(
            sequence.Count, logits, [.. _hidden.Select(values => values.AsSpan(sequence.Start * width, sequence.Count * width).ToArray())],
            [.. _routers.Select(pair => new RouterTrace(
                pair.Key, pair.Value.TopK, pair.Value.Experts.AsSpan(sequence.Start * pair.Value.TopK, sequence.Count * pair.Value.TopK).ToArray(),
                pair.Value.Weights.AsSpan(sequence.Start * pair.Value.TopK, sequence.Count * pair.Value.TopK).ToArray()))]);
    }
}
