using System.Numerics.Tensors;
using MergeKit.Core.Architectures;
using MergeKit.Core.Numerics;
using MergeKit.Inference.Backends.Cpu.Kernels;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Backends.Cpu;

/// <summary>The forward pass on the CPU: float32 activations, weights as stored.</summary>
public sealed class CpuBackend : IBackend
{
    private readonly NetworkSpec _network;
    private readonly WorkerPool _pool;
    private readonly CpuAttention _attention;
    private readonly CpuFeedForward _feedForward;
    private readonly CpuHead _head;
    private readonly CpuCombinedHeads _combined;
    private readonly CpuBuffer _scratch = new();

    /// <summary>A backend for one network.</summary>
    /// <param name="network">The network.</param>
    /// <param name="threads">Workers; null for one per processor.</param>
    public CpuBackend(NetworkSpec network, int? threads = null)
    {
        _network = network;
        _pool = new WorkerPool(threads ?? Environment.ProcessorCount);
        (_attention, _feedForward, _head) = (new CpuAttention(network, _pool), new CpuFeedForward(_pool), new CpuHead(_pool));
        _combined = new CpuCombinedHeads(_pool);
    }

    /// <summary>Leaves some of the threads to others. Not during a pass.</summary>
    internal void UseThreads(int threads) => _pool.Use(threads);

    /// <inheritdoc/>
    public IMatrix LoadMatrix(MatrixSource source) => new CpuMatrix(source.Blocks, source.StoredTransposed, source.Bias);

    /// <inheritdoc/>
    public IReadOnlyList<IMatrix> LoadMatrices(IReadOnlyList<MatrixSource> sources) => [.. sources.Select(LoadMatrix)];

    /// <inheritdoc/>
    public IBuffer CreateBuffer() => new CpuBuffer();

    /// <inheritdoc/>
    public IKvCache CreateCache() => new CpuKvCache(_network);

    /// <inheritdoc/>
    public int TokensPerPass => PassPlanner.CpuTokens(_network);

    /// <inheritdoc/>
    public void Run(ForwardBatch batch, NetworkWeights weights, Action pass) => pass();

    /// <inheritdoc/>
    public void Extend(ForwardBatch batch)
    {
        foreach (var sequence in batch.Sequences)
            ((CpuKvCache)sequence.Cache).Extend(sequence.Count);
    }

    /// <inheritdoc/>
    public void Embed(EmbeddingWeights weights, ForwardBatch batch, IBuffer hidden)
    {
        var output = ((CpuBuffer)hidden).Resize(batch.Tokens, _network.HiddenSize);
        var extra = _scratch.Resize(_pool.Threads, _network.HiddenSize);
        _pool.For(batch.Tokens, (token, worker) =>
        {
            var row = output.Row(token);
            Widen(weights.Tokens, batch.Ids[token], row);
            if (weights.Spec.Scale != 1)
                TensorPrimitives.Multiply(row, weights.Spec.Scale, row);
            AddRow(weights.Positions, batch.PositionRows[token], row, extra.Row(worker));
            AddRow(weights.TokenTypes, batch.TokenTypes?[token] ?? 0, row, extra.Row(worker));
            if (weights.Norm is { } norm)
                CpuNorm.Apply(norm, row, row);
        });
    }

    /// <inheritdoc/>
    public void AddNorm(IBuffer residual, IBuffer? delta, NormWeights norm, IBuffer output)
    {
        var (sum, added) = ((CpuBuffer)residual, (CpuBuffer?)delta);
        var normed = output == residual ? sum : ((CpuBuffer)output).Resize(sum.Rows, sum.Columns);
        _pool.For(sum.Rows, (row, _) =>
        {
            if (added is not null)
                TensorPrimitives.Add(sum.Row(row), added.Row(row), sum.Row(row));
            CpuNorm.Apply(norm, sum.Row(row), normed.Row(row));
        });
    }

    /// <inheritdoc/>
    public void Add(IBuffer residual, IBuffer delta)
    {
        var sum = ((CpuBuffer)residual).Span;
        TensorPrimitives.Add(sum, ((CpuBuffer)delta).Span, sum);
    }

    /// <inheritdoc/>
    public void Project(IMatrix matrix, IBuffer x, IBuffer output, bool accumulate)
    {
        var (weights, input) = ((CpuMatrix)matrix, (CpuBuffer)x);
        var result = accumulate ? (CpuBuffer)output : ((CpuBuffer)output).Resize(input.Rows, weights.Rows);
        weights.Multiply(input.Span, input.Rows, result.Span, _pool, accumulate);
    }

    /// <inheritdoc/>
    public void Activate(Activation activation, IBuffer x) => CpuFeedForward.Activate(activation, ((CpuBuffer)x).Span);

    /// <inheritdoc/>
    public void ProjectQkv(AttentionWeights weights, int layer, IBuffer x, ForwardBatch batch, IBuffer queries) =>
        _attention.Project(weights, layer, (CpuBuffer)x, batch, (CpuBuffer)queries);

    /// <inheritdoc/>
    public void Attend(AttentionWeights weights, int layer, IBuffer queries, ForwardBatch batch, IBuffer output) =>
        _attention.Attend(weights, layer, (CpuBuffer)queries, batch, (CpuBuffer)output);

    /// <inheritdoc/>
    public void Mlp(MlpWeights weights, IBuffer x, IBuffer output, bool accumulate) =>
        _feedForward.Mlp(weights, (CpuBuffer)x, (CpuBuffer)output, accumulate);

    /// <inheritdoc/>
    public void Moe(MoeWeights weights, IBuffer x, IBuffer output, bool accumulate, RouterChoice? choice) =>
        _feedForward.Moe(weights, (CpuBuffer)x, (CpuBuffer)output, accumulate, choice);

    /// <inheritdoc/>
    public void Logits(HeadWeights weights, IBuffer hidden, int row, Span<float> logits) => _head.Logits(weights, ((CpuBuffer)hidden).Row(row), logits);

    /// <inheritdoc/>
    public void Score(HeadWeights weights, IBuffer hidden, ReadOnlySpan<int> rows, ReadOnlySpan<int> targets, Span<float> logProbs, Span<bool> isArgMax) =>
        _head.Score(weights, (CpuBuffer)hidden, rows, targets, logProbs, isArgMax);

    /// <inheritdoc/>
    public void ArgMax(HeadWeights weights, IBuffer hidden, ReadOnlySpan<int> rows, Span<int> ids)
    {
        var logits = new float[_network.VocabularySize];
        for (var i = 0; i < rows.Length; i++)
        {
            Logits(weights, hidden, rows[i], logits);
            ids[i] = TensorPrimitives.IndexOfMax<float>(logits);
            if (!float.IsFinite(logits[ids[i]]))
                ids[i] = -1;
        }
    }

    /// <inheritdoc/>
    public IPendingIds QueueArgMax(HeadWeights weights, IBuffer hidden)
    {
        var ids = new int[hidden.Rows];
        ArgMax(weights, hidden, [.. Enumerable.Range(0, ids.Length)], ids);
        return new KnownIds(ids);
    }

    /// <inheritdoc/>
    public void LogitRows(HeadWeights weights, IBuffer hidden, int first, Span<float> logits) =>
        _head.Logits(weights, ((CpuBuffer)hidden).Span[(first * hidden.Columns)..], logits);

    /// <inheritdoc/>
    public bool TryScoreCombined(CombinedHeads heads, ReadOnlySpan<int> targets, Span<float> logProbs, Span<bool> isArgMax)
    {
        if (!CpuCombinedHeads.CanScore(heads))
            return false;
        using (new AllThreads(_pool))
            _combined.Score(heads, targets, logProbs, isArgMax);
        return true;
    }

    /// <inheritdoc/>
    public bool TryCombine(CombinedHeads heads, Span<float> logProbs)
    {
        if (!CpuCombinedHeads.CanCombine(heads))
            return false;
        using (new AllThreads(_pool))
            _combined.Combine(heads, logProbs);
        return true;
    }

    /// <inheritdoc/>
    public void CopyRows(IBuffer source, ReadOnlySpan<int> rows, IBuffer destination)
    {
        var (from, to) = ((CpuBuffer)source, ((CpuBuffer)destination).Resize(rows.Length, source.Columns));
        for (var i = 0; i < rows.Length; i++)
            from.Row(rows[i]).CopyTo(to.Row(i));
    }

    /// <inheritdoc/>
    public void Read(IBuffer source, int row, Span<float> values) => ((CpuBuffer)source).Span.Slice(row * source.Columns, values.Length).CopyTo(values);

    /// <inheritdoc/>
    public void Dispose()
    {
        _attention.Dispose();
        _feedForward.Dispose();
        _head.Dispose();
        _combined.Dispose();
        _scratch.Dispose();
        _pool.Dispose();
    }

    /// <summary>While several models' heads are combined nobody else computes, so that all threads are free.</summary>
    private readonly struct AllThreads : IDisposable
    {
        private readonly WorkerPool _pool;
        private readonly int _before;

        public AllThreads(WorkerPool pool)
        {
            (_pool, _before) = (pool, pool.Threads);
            pool.Use(int.MaxValue);
        }

        public void Dispose() => _pool.Use(_before);
    }

    private static void AddRow(WeightTensor? table, int index, Span<float> row, Span<float> scratch)
    {
        if (table is not { } tensor)
            return;
        Widen(tensor, index, scratch);
        TensorPrimitives.Add(row, scratch, row);
    }

    private static void Widen(WeightTensor table, int index, Span<float> row) =>
        Widening.ToSingle(table.Data + (nint)(index * (long)row.Length * table.Type.Size()), table.Type, row);
}
