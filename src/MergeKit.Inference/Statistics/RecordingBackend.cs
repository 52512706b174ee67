using System.Numerics.Tensors;
using MergeKit.Core.Architectures;
using MergeKit.Inference.Backends;
using MergeKit.Inference.Backends.Cpu;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Statistics;

/// <summary>Does what another backend does, and shows a recorder what goes into each linear layer. The experts of a mixture are not recorded: only some
/// tokens visit each.</summary>
internal sealed class RecordingBackend(IBackend inner, InputProducts recorder) : IBackend
{
    private readonly IBuffer _wide = inner.CreateBuffer();

    public IMatrix LoadMatrix(IReadOnlyList<WeightTensor> blocks, bool storedTransposed, float[]? bias)
    {
        var matrix = inner.LoadMatrix(blocks, storedTransposed, bias);
        if (!storedTransposed)
            recorder.Expect(matrix, [.. blocks.Select(block => block.Data)]);
        return matrix;
    }

    public IBuffer CreateBuffer() => inner.CreateBuffer();

    public IKvCache CreateCache() => inner.CreateCache();

    public void Extend(ForwardBatch batch) => inner.Extend(batch);

    public void Embed(EmbeddingWeights weights, ForwardBatch batch, IBuffer hidden) => inner.Embed(weights, batch, hidden);

    public void AddNorm(IBuffer residual, IBuffer? delta, NormWeights norm, IBuffer output) => inner.AddNorm(residual, delta, norm, output);

    public void Add(IBuffer residual, IBuffer delta) => inner.Add(residual, delta);

    public void Project(IMatrix matrix, IBuffer x, IBuffer output, bool accumulate)
    {
        Record(matrix, x);
        inner.Project(matrix, x, output, accumulate);
    }

    public void Activate(Activation activation, IBuffer x) => inner.Activate(activation, x);

    public void ProjectQkv(AttentionWeights weights, int layer, IBuffer x, ForwardBatch batch, IBuffer queries)
    {
        if (weights.Qkv is { } qkv)
            Record(qkv, x);
        inner.ProjectQkv(weights, layer, x, batch, queries);
    }

    public void Attend(AttentionWeights weights, int layer, IBuffer queries, ForwardBatch batch, IBuffer output) => inner.Attend(weights, layer, queries, batch, output);

    public void Mlp(MlpWeights weights, IBuffer x, IBuffer output, bool accumulate)
    {
        Record(weights.Input, x);
        inner.Project(weights.Input, x, _wide, accumulate: false);
        recorder.Add(weights.Down, x.Rows, (row, values) => Gated(weights, row, values));
        inner.Mlp(weights, x, output, accumulate);
    }

    public void Moe(MoeWeights weights, IBuffer x, IBuffer output, bool accumulate, RouterChoice? choice)
    {
        Record(weights.Router, x);
        inner.Moe(weights, x, output, accumulate, choice);
    }

    public void Logits(HeadWeights weights, IBuffer hidden, int row, Span<float> logits) => inner.Logits(weights, hidden, row, logits);

    public void Score(HeadWeights weights, IBuffer hidden, ReadOnlySpan<int> rows, ReadOnlySpan<int> targets, Span<float> logProbs, Span<bool> isArgMax) =>
        inner.Score(weights, hidden, rows, targets, logProbs, isArgMax);

    public void CopyRows(IBuffer source, ReadOnlySpan<int> rows, IBuffer destination) => inner.CopyRows(source, rows, destination);

    public void Read(IBuffer source, int row, Span<float> values) => inner.Read(source, row, values);

    public void Dispose()
    {
        _wide.Dispose();
        inner.Dispose();
    }

    private void Record(IMatrix matrix, IBuffer x) => recorder.Add(matrix, x.Rows, (row, values) => inner.Read(x, row, values));

    /// <summary>What goes into the down projection: act(gate) x up, or act(up).</summary>
    private void Gated(MlpWeights weights, int row, Span<float> values)
    {
        var wide = new float[_wide.Columns];
        inner.Read(_wide, row, wide);
        var half = weights.Intermediate;
        if (weights.Gate == GateKind.Interleaved || weights.ClampedLimit is not null)
            throw new NotSupportedException("interleaved gates belong to experts, which are not recorded");
        CpuFeedForward.Activate(weights.Activation, wide.AsSpan(0, half));
        if (weights.Gate == GateKind.None)
            wide.AsSpan(0, half).CopyTo(values);
        else
            TensorPrimitives.Multiply(wide.AsSpan(0, half), wide.AsSpan(half, half), values);
    }
}
