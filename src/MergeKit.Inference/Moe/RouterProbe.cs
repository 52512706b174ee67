using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Moe;
using MergeKit.Core.Recipes;
using MergeKit.Inference.Backends;
using MergeKit.Inference.Backends.Cpu;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Moe;

/// <summary>Runs a model and shows the states that its routers see, or would see.</summary>
public sealed class RouterProbe : IRouterProbe, IForwardObserver
{
    private readonly Engine _engine;
    private readonly HashSet<int> _layers = [];
    private GateInput _input;
    private StateVisitor _visit = (_, _, _) => { };
    private SequenceSpan[] _sequences = [];
    private int _first;

    private RouterProbe(Engine engine) => _engine = engine;

    /// <inheritdoc/>
    public int MaxLength => _engine.Network.MaxLength;

    /// <summary>Opens a model.</summary>
    /// <param name="config">Its configuration.</param>
    /// <param name="source">Its tensors; disposed of with the probe.</param>
    /// <param name="threads">Workers on the CPU.</param>
    /// <param name="device">Where it runs.</param>
    public static RouterProbe Open(ModelConfig config, IWeightSource source, int threads, DeviceChoice device = default) =>
        new(Engine.Create(config, source, encoder: false, new BackendFactory(device, threads).Create));

    /// <summary>Opens a model on a backend.</summary>
    internal static RouterProbe Open(ModelConfig config, IWeightSource source, Func<NetworkSpec, IBackend> createBackend) =>
        new(Engine.Create(config, source, encoder: false, (_, _, network, _) => createBackend(network)));

    /// <inheritdoc/>
    public void Run(IReadOnlyList<int[]> sequences, GateInput input, IReadOnlyList<int> layers, StateVisitor visit, CancellationToken cancellation)
    {
        foreach (var ids in sequences)
        {
            _engine.CheckIds("gates", ids);
            _engine.CheckLength("gates", ids.Length);
        }

        (_input, _visit) = (input, visit);
        _layers.Clear();
        _layers.UnionWith(layers);
        ForEachBatch(sequences, batch => Pass(batch, _ => { }), cancellation);
    }

    /// <inheritdoc/>
    public double[] Score(IReadOnlyList<int[]> sequences, CancellationToken cancellation)
    {
        _layers.Clear();
        var sums = new double[sequences.Count];
        ForEachBatch(sequences, batch => Pass(batch, output => Score(batch, output, sums.AsSpan(_first))), cancellation);
        return sums;
    }

    private void ForEachBatch(IReadOnlyList<int[]> sequences, Action<IReadOnlyList<int[]>> pass, CancellationToken cancellation)
    {
        var budget = _engine.Backend.TokensPerPass;
        for (_first = 0; _first < sequences.Count;)
        {
            cancellation.ThrowIfCancellationRequested();
            var (count, tokens) = (1, sequences[_first].Length);
            while (_first + count < sequences.Count && tokens + sequences[_first + count].Length <= budget)
                tokens += sequences[_first + count++].Length;
            pass([.. sequences.Skip(_first).Take(count)]);
            _first += count;
        }
    }

    /// <inheritdoc/>
    public void BeforeLayer(int layer, IBuffer hidden)
    {
        if (_input == GateInput.Residual)
            Show(layer, hidden);
    }

    /// <inheritdoc/>
    public void BeforeFeedForward(int layer, IBuffer input)
    {
        if (_input == GateInput.Router)
            Show(layer, input);
    }

    /// <inheritdoc/>
    public void AfterLayer(int layer, IBuffer hidden)
    {
    }

    /// <inheritdoc/>
    public RouterChoice? RouterOf(int layer) => null;

    /// <inheritdoc/>
    public void Dispose() => _engine.Dispose();

    private void Score(IReadOnlyList<int[]> batch, IBuffer output, Span<double> sums)
    {
        int[] rows = [.. batch.SelectMany((ids, i) => Enumerable.Range(_sequences[i].Start, ids.Length - 1))];
        int[] targets = [.. batch.SelectMany(ids => ids[1..])];
        var (logProbs, isArgMax) = (new float[rows.Length], new bool[rows.Length]);
        _engine.Backend.Score(_engine.Weights.Head, output, rows, targets, logProbs, isArgMax);
        for (int i = 0, at = 0; i < batch.Count; i++)
            for (var end = at + batch[i].Length - 1; at < end; at++)
                sums[i] += logProbs[at];
    }

    private void Pass(IReadOnlyList<int[]> sequences, Action<IBuffer> visit)
    {
        var caches = sequences.Select(_ => _engine.Backend.CreateCache()).ToList();
        try
        {
            var batch = ForwardBatch.Continue([.. caches.Zip(sequences, (cache, ids) => new SequencePart(cache, ids))]);
            _sequences = batch.Sequences;
            using (_engine.Enter())
                visit(_engine.Transformer.Forward(batch, this));
        }
        finally
        {
            caches.ForEach(cache => cache.Dispose());
        }
    }

    private void Show(int layer, IBuffer buffer)
    {
        if (!_layers.Contains(layer))
            return;
        var states = buffer is CpuBuffer here ? here.Span : Copy(buffer);
        for (var i = 0; i < _sequences.Length; i++)
            _visit(layer, _first + i, states.Slice(_sequences[i].Start * buffer.Columns, _sequences[i].Count * buffer.Columns));
    }

    private Span<float> Copy(IBuffer buffer)
    {
        var values = new float[(long)buffer.Rows * buffer.Columns];
        _engine.Backend.Read(buffer, 0, values);
        return values;
    }
}
