using System.Diagnostics;
using MergeKit.Core.Architectures;
using MergeKit.Inference.Backends;
using MergeKit.Inference.Runtime;

namespace MergeKit.Benchmarks;

/// <summary>A backend that notes how long each of its operations takes.</summary>
internal sealed class TimedBackend(IBackend inner) : IBackend
{
    private readonly Dictionary<string, (double Seconds, int Calls)> _times = [];
    private readonly Dictionary<IMatrix, IBuffer> _outputs = [];

    /// <summary>Seconds and calls per operation since <see cref="Clear"/>.</summary>
    public IReadOnlyDictionary<string, (double Seconds, int Calls)> Times => _times;

    public int TokensPerPass => inner.TokensPerPass;

    /// <summary>Begins anew.</summary>
    public void Clear() => _times.Clear();

    public IMatrix LoadMatrix(MatrixSource source) => inner.LoadMatrix(source);

    public IReadOnlyList<IMatrix> LoadMatrices(IReadOnlyList<MatrixSource> sources) => inner.LoadMatrices(sources);

    public void LoadTable(WeightTensor table) => inner.LoadTable(table);

    public void VectorsChanged() => inner.VectorsChanged();

    public IBuffer CreateBuffer() => inner.CreateBuffer();

    public IKvCache CreateCache() => Timed("caches", inner.CreateCache);

    public void Extend(ForwardBatch batch) => Timed("caches", () => inner.Extend(batch));

    public void Run(ForwardBatch batch, NetworkWeights weights, Action pass) => inner.Run(batch, weights, pass);

    public void Embed(EmbeddingWeights weights, ForwardBatch batch, IBuffer hidden) => Timed("embeddings", () => inner.Embed(weights, batch, hidden));

    public void AddNorm(IBuffer residual, IBuffer? delta, NormWeights norm, IBuffer output) => Timed("norms", () => inner.AddNorm(residual, delta, norm, output));

    public void Add(IBuffer residual, IBuffer delta) => Timed("norms", () => inner.Add(residual, delta));

    public void Project(IMatrix matrix, IBuffer x, IBuffer output, bool accumulate) => Timed("output projection", () => inner.Project(matrix, x, output, accumulate));

    public void Activate(Activation activation, IBuffer x) => inner.Activate(activation, x);

    public void ProjectQkv(AttentionWeights weights, int layer, IBuffer x, ForwardBatch batch, IBuffer queries)
    {
        Timed("queries, keys, values", () => inner.ProjectQkv(weights, layer, x, batch, queries));
        Alone(weights.Qkv!, x);
    }

    public void Attend(AttentionWeights weights, int layer, IBuffer queries, ForwardBatch batch, IBuffer output) => Timed("attention", () => inner.Attend(weights, layer, queries, batch, output));

    public void Mlp(MlpWeights weights, IBuffer x, IBuffer output, bool accumulate)
    {
        Timed("feed-forward", () => inner.Mlp(weights, x, output, accumulate));
        Alone(weights.Input, x);
    }

    public void Moe(MoeWeights weights, IBuffer x, IBuffer output, bool accumulate, RouterChoice? choice) => inner.Moe(weights, x, output, accumulate, choice);

    public void Logits(HeadWeights weights, IBuffer hidden, int row, Span<float> logits) => inner.Logits(weights, hidden, row, logits);

    public void Score(HeadWeights weights, IBuffer hidden, ReadOnlySpan<int> rows, ReadOnlySpan<int> targets, Span<float> logProbs, Span<bool> isArgMax)
    {
        var start = Stopwatch.GetTimestamp();
        inner.Score(weights, hidden, rows, targets, logProbs, isArgMax);
        Note("head and log-probabilities", start);
        Alone(weights.Output, hidden);
    }

    public void ArgMax(HeadWeights weights, IBuffer hidden, ReadOnlySpan<int> rows, Span<int> ids) => inner.ArgMax(weights, hidden, rows, ids);

    public IPendingIds QueueArgMax(HeadWeights weights, IBuffer hidden) => inner.QueueArgMax(weights, hidden);

    public void CopyRows(IBuffer source, ReadOnlySpan<int> rows, IBuffer destination) => inner.CopyRows(source, rows, destination);

    public void Read(IBuffer source, int row, Span<float> values) => inner.Read(source, row, values);

    public void Dispose()
    {
        foreach (var output in _outputs.Values)
            output.Dispose();
        inner.Dispose();
    }

    /// <summary>The product with a matrix by itself, beside the operation that holds it: <c>(alone)</c> is no part of the pass.</summary>
    private void Alone(IMatrix matrix, IBuffer x)
    {
        var start = Stopwatch.GetTimestamp();
        if (!_outputs.TryGetValue(matrix, out var output))
            _outputs[matrix] = output = inner.CreateBuffer();
        inner.Project(matrix, x, output, false);
        Note(FormattableString.Invariant($"(alone) product {x.Columns} -> {matrix.Rows}"), start);
    }

    private void Timed(string name, Action action)
    {
        var start = Stopwatch.GetTimestamp();
        action();
        Note(name, start);
    }

    private T Timed<T>(string name, Func<T> action)
    {
        var start = Stopwatch.GetTimestamp();
        var result = action();
        Note(name, start);
        return result;
    }

    private void Note(string name, long start)
    {
        var (seconds, calls) = _times.GetValueOrDefault(name);
        _times[name] = (seconds + Stopwatch.GetElapsedTime(start).TotalSeconds, calls + 1);
    }
}
