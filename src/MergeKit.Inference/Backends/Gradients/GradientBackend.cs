using System.Numerics.Tensors;
using MergeKit.Core.Architectures;
using MergeKit.Inference.Backends.Cpu;
using MergeKit.Inference.Backends.Cpu.Kernels;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Backends.Gradients;

/// <summary>A forward pass on the CPU that remembers its steps, so that gradients of log-probabilities can be carried back to every stored tensor.
/// It runs whole sequences in float32; the memory of a pass grows with its tokens.</summary>
internal sealed class GradientBackend : IBackend
{
    private readonly NetworkSpec _network;
    private readonly WorkerPool _pool;
    private readonly Tape _tape;
    private readonly QkvSteps _qkv;
    private readonly Dictionary<int, Heads> _heads = [];

    /// <summary>A backend for one network.</summary>
    /// <param name="network">The network.</param>
    /// <param name="sizes">Elements of the tensors whose gradients are wanted, by the architecture's names.</param>
    /// <param name="threads">Workers; null for one per processor.</param>
    public GradientBackend(NetworkSpec network, IReadOnlyDictionary<string, long> sizes, int? threads = null)
    {
        Parameters = new ParameterGradients(sizes);
        (_network, _pool) = (network, new WorkerPool(threads ?? Environment.ProcessorCount));
        _tape = new Tape(_pool, Parameters);
        _qkv = new QkvSteps(_tape);
    }

    /// <summary>The gradients, and sums of their squares.</summary>
    public ParameterGradients Parameters { get; }

    public int TokensPerPass => PassPlanner.CpuTokens(_network);

    /// <summary>Adds the gradient of the sum of ln p(label) over rows of the last pass to <see cref="Parameters"/>; returns that sum. May be called again
    /// for other rows of the same pass.</summary>
    public double Back(HeadWeights weights, IBuffer hidden, ReadOnlySpan<int> rows, LabelChoice choose)
    {
        var sum = _tape.BackFromLabels(weights, Of(hidden), rows, choose);
        _tape.Back();
        return sum;
    }

    /// <summary>Adds the squares of the gradients to their sums, and sets the gradients to 0.</summary>
    public void TakeSquares() => Parameters.TakeSquares(_pool);

    public IMatrix LoadMatrix(MatrixSource source) => new TapeMatrix(source);

    public IReadOnlyList<IMatrix> LoadMatrices(IReadOnlyList<MatrixSource> sources) => [.. sources.Select(LoadMatrix)];

    public IBuffer CreateBuffer() => new TapeBuffer();

    public IKvCache CreateCache() => new TapeCache();

    public void Extend(ForwardBatch batch)
    {
        _tape.Clear();
        _heads.Clear();
        foreach (var sequence in batch.Sequences)
        {
            if (sequence.Past > 0)
                throw new InvalidOperationException("a pass with gradients starts at the first token of a sequence");
            ((TapeCache)sequence.Cache).Length += sequence.Count;
        }
    }

    public void Run(ForwardBatch batch, NetworkWeights weights, Action pass) => pass();

    public void Embed(EmbeddingWeights weights, ForwardBatch batch, IBuffer hidden) =>
        Set(hidden, _tape.Norm(weights.Norm, _tape.Embed(weights, batch, _network.HiddenSize)));

    public void AddNorm(IBuffer residual, IBuffer? delta, NormWeights norm, IBuffer output)
    {
        if (delta is not null)
            Add(residual, delta);
        Set(output, _tape.Norm(norm, Of(residual)));
    }

    public void Add(IBuffer residual, IBuffer delta) => Set(residual, _tape.Add(Of(residual), Of(delta)));

    public void Project(IMatrix matrix, IBuffer x, IBuffer output, bool accumulate) => Put(output, _tape.Linear(matrix, Of(x)), accumulate);

    public void Activate(Activation activation, IBuffer x) => Set(x, _tape.Activate(activation, Of(x)));

    public void ProjectQkv(AttentionWeights weights, int layer, IBuffer x, ForwardBatch batch, IBuffer queries) =>
        Set(queries, (_heads[layer] = _qkv.Project(weights, Of(x), batch)).Queries);

    public void Attend(AttentionWeights weights, int layer, IBuffer queries, ForwardBatch batch, IBuffer output) =>
        Set(output, new AttentionStep(weights, _heads[layer], batch, _network.Causal).Attend(_tape));

    public void Mlp(MlpWeights weights, IBuffer x, IBuffer output, bool accumulate) => Put(output, _tape.Mlp(weights, Of(x)), accumulate);

    public void Moe(MoeWeights weights, IBuffer x, IBuffer output, bool accumulate, RouterChoice? choice) =>
        Put(output, _tape.Mixture(weights, Of(x), choice), accumulate);

    public void Logits(HeadWeights weights, IBuffer hidden, int row, Span<float> logits)
    {
        ((TapeMatrix)weights.Output).Multiply(Of(hidden).Row(row), 1, logits, _pool);
        CpuHead.Finish(weights, logits);
    }

    public void Score(HeadWeights weights, IBuffer hidden, ReadOnlySpan<int> rows, ReadOnlySpan<int> targets, Span<float> logProbs, Span<bool> isArgMax)
    {
        var logits = new float[_network.VocabularySize];
        for (var i = 0; i < rows.Length; i++)
        {
            Logits(weights, hidden, rows[i], logits);
            isArgMax[i] = TensorPrimitives.IndexOfMax<float>(logits) == targets[i];
            VectorOps.Softmax(logits);
            logProbs[i] = MathF.Log(logits[targets[i]]);
        }
    }

    public void ArgMax(HeadWeights weights, IBuffer hidden, ReadOnlySpan<int> rows, Span<int> ids)
    {
        var logits = new float[_network.VocabularySize];
        for (var i = 0; i < rows.Length; i++)
        {
            Logits(weights, hidden, rows[i], logits);
            ids[i] = float.IsFinite(TensorPrimitives.Max<float>(logits)) ? TensorPrimitives.IndexOfMax<float>(logits) : -1;
        }
    }

    public IPendingIds QueueArgMax(HeadWeights weights, IBuffer hidden)
    {
        var ids = new int[hidden.Rows];
        ArgMax(weights, hidden, [.. Enumerable.Range(0, ids.Length)], ids);
        return new KnownIds(ids);
    }

    public void CopyRows(IBuffer source, ReadOnlySpan<int> rows, IBuffer destination) => Set(destination, _tape.Rows(Of(source), rows.ToArray()));

    public void Read(IBuffer source, int row, Span<float> values) => Of(source).Row(row).CopyTo(values);

    public void Dispose()
    {
        _tape.Clear();
        _pool.Dispose();
    }

    private static TapeValue Of(IBuffer buffer) => ((TapeBuffer)buffer).Value;

    private static void Set(IBuffer buffer, TapeValue value) => ((TapeBuffer)buffer).Value = value;

    private void Put(IBuffer buffer, TapeValue value, bool accumulate) => Set(buffer, accumulate ? _tape.Add(Of(buffer), value) : value);
}
