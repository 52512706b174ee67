using MergeKit.Core.Architectures;
using MergeKit.Core.Diagnostics;
using MergeKit.Inference.Backends.Cuda.Kernels;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Backends.Cuda;

/// <summary>The forward pass on an NVIDIA GPU: residual stream, norms, softmax and log-probabilities in float32, matrices and what they read in one type.</summary>
public sealed class CudaBackend : IBackend
{
    private readonly CudaContext _cuda;
    private readonly NetworkSpec _network;
    private readonly CudaType _type;
    private readonly DenseProduct _product;
    private readonly CudaWeights _weights;
    private readonly KvPool _pool;
    private readonly CudaBatch _batch;
    private readonly CudaAttention _attention;
    private readonly CudaHead _head;
    private readonly CudaBuffer _converted, _wide, _inner;

    /// <summary>A backend for one network.</summary>
    /// <param name="cuda">The device; stays the caller's.</param>
    /// <param name="network">The network.</param>
    /// <param name="type">Type of matrices, of what they read, and of the cache.</param>
    /// <exception cref="InputException">The network has parts that this backend does not compute; lists them.</exception>
    public CudaBackend(CudaContext cuda, NetworkSpec network, CudaType type = CudaType.BFloat16)
    {
        ArgumentNullException.ThrowIfNull(cuda);
        if (Unsupported(network) is { Count: > 0 } problems)
            throw new InputException(problems);
        (_cuda, _network, _type) = (cuda, network, type);
        (_product, _weights, _pool, _batch) = (new DenseProduct(cuda), new CudaWeights(cuda, type), new KvPool(cuda, network, type), new CudaBatch(cuda));
        (_converted, _wide, _inner) = (new CudaBuffer(cuda), new CudaBuffer(cuda), new CudaBuffer(cuda));
        _attention = new CudaAttention(cuda, network, type, _weights, _batch, _pool);
        _head = new CudaHead(cuda, type, _product);
    }

    /// <summary>What of a network this backend does not compute; empty where it can run it.</summary>
    public static IReadOnlyList<Problem> Unsupported(NetworkSpec network)
    {
        ArgumentNullException.ThrowIfNull(network);
        var problems = new List<Problem>();
        if (network.Layers.Any(layer => layer.Moe is not null))
            problems.Add(Problem.Error("mixtures of experts are not computed on the GPU; the CPU computes them"));
        if (network.Layers.Any(layer => layer.Attention.Latent is not null))
            problems.Add(Problem.Error("latent attention is not computed on the GPU; the CPU computes it"));
        return problems;
    }

    /// <inheritdoc/>
    public IMatrix LoadMatrix(IReadOnlyList<WeightTensor> blocks, bool storedTransposed, float[]? bias)
    {
        _cuda.MakeCurrent();
        return _weights.Matrix(blocks, storedTransposed, bias);
    }

    /// <inheritdoc/>
    public IBuffer CreateBuffer() => new CudaBuffer(_cuda);

    /// <inheritdoc/>
    public IKvCache CreateCache() => new CudaKvCache(_pool);

    /// <inheritdoc/>
    public void Extend(ForwardBatch batch)
    {
        _cuda.MakeCurrent();
        foreach (var sequence in batch.Sequences)
            ((CudaKvCache)sequence.Cache).Extend(sequence.Count);
        _batch.Set(batch);
    }

    /// <inheritdoc/>
    public void Embed(EmbeddingWeights weights, ForwardBatch batch, IBuffer hidden)
    {
        var output = ((CudaBuffer)hidden).Resize(batch.Tokens, _network.HiddenSize, CudaType.Float32);
        Embedding.Launch(_cuda, _type, batch.Tokens, new Embedding.Parameters
        {
            Tokens = _weights.Table(weights.Tokens),
            Positions = weights.Positions is { } positions ? _weights.Table(positions) : 0,
            Types = weights.TokenTypes is { } types ? _weights.Table(types) : 0,
            Ids = _batch.Ids,
            PositionRows = _batch.PositionRows,
            Kinds = _batch.Types,
            Hidden = output,
            Width = _network.HiddenSize,
            Scale = weights.Spec.Scale,
        });
        if (weights.Norm is { } norm)
            AddNorm(hidden, null, norm, hidden);
    }

    /// <inheritdoc/>
    public void AddNorm(IBuffer residual, IBuffer? delta, NormWeights norm, IBuffer output)
    {
        var sum = (CudaBuffer)residual;
        if (sum.Type != CudaType.Float32)
            throw new ArgumentException("the residual stream is float32", nameof(residual));
        var type = output == residual ? CudaType.Float32 : _type;
        var target = output == residual ? sum.Pointer : ((CudaBuffer)output).Resize(sum.Rows, sum.Columns, type);
        Norm.Launch(
            _cuda, norm.Spec, _weights.Vector(norm.Weight), _weights.Vector(norm.Bias), sum.Rows, sum.Columns, sum.Pointer,
            delta is CudaBuffer added ? AsFloat(added) : 0, target, type);
    }

    /// <inheritdoc/>
    public void Add(IBuffer residual, IBuffer delta)
    {
        var added = (CudaBuffer)delta;
        Elementwise.Add(_cuda, ((CudaBuffer)residual).Pointer, added.Pointer, (long)added.Rows * added.Columns, added.Type);
    }

    /// <inheritdoc/>
    public void Project(IMatrix matrix, IBuffer x, IBuffer output, bool accumulate)
    {
        var (weights, rows, result) = ((CudaMatrix)matrix, x.Rows, (CudaBuffer)output);
        var input = Operand((CudaBuffer)x);
        var target = accumulate ? result.Pointer : result.Resize(rows, weights.Rows, CudaType.Float32);
        _product.Multiply(weights.Weights, input, target, rows, weights.Rows, weights.Columns, _type, CudaType.Float32, accumulate);
        if (weights.Bias != 0)
            Elementwise.AddBias(_cuda, target, weights.Bias, rows, weights.Rows);
    }

    /// <inheritdoc/>
    public void Activate(Activation activation, IBuffer x)
    {
        var buffer = (CudaBuffer)x;
        Elementwise.Activate(_cuda, activation, buffer.Pointer, 0, buffer.Pointer, buffer.Rows, buffer.Columns, buffer.Type);
    }

    /// <inheritdoc/>
    public void ProjectQkv(AttentionWeights weights, int layer, IBuffer x, ForwardBatch batch, IBuffer queries)
    {
        var matrix = (CudaMatrix)weights.Qkv!;
        var qkv = _wide.Resize(batch.Tokens, matrix.Rows, _type);
        _product.Multiply(matrix.Weights, Operand((CudaBuffer)x), qkv, batch.Tokens, matrix.Rows, matrix.Columns, _type, _type, accumulate: false);
        _attention.Prepare(weights, layer, qkv, matrix.Bias, (CudaBuffer)queries);
    }

    /// <inheritdoc/>
    public void Attend(AttentionWeights weights, int layer, IBuffer queries, ForwardBatch batch, IBuffer output) =>
        _attention.Attend(weights, layer, (CudaBuffer)queries, (CudaBuffer)output);

    /// <inheritdoc/>
    public void Mlp(MlpWeights weights, IBuffer x, IBuffer output, bool accumulate)
    {
        var (input, rows) = ((CudaMatrix)weights.Input, x.Rows);
        var wide = _wide.Resize(rows, input.Rows, _type);
        _product.Multiply(input.Weights, Operand((CudaBuffer)x), wide, rows, input.Rows, input.Columns, _type, _type, accumulate: false);
        var inner = _inner.Resize(rows, weights.Intermediate, _type);
        if (weights.Gate == GateKind.None)
            Elementwise.Activate(_cuda, weights.Activation, wide, input.Bias, inner, rows, weights.Intermediate, _type);
        else
            Elementwise.Gate(_cuda, weights.Activation, weights.Gate, weights.ClampedLimit, wide, input.Bias, inner, rows, weights.Intermediate, _type);
        Project(weights.Down, _inner, output, accumulate);
    }

    /// <inheritdoc/>
    public void Moe(MoeWeights weights, IBuffer x, IBuffer output, bool accumulate, RouterChoice? choice) =>
        throw new CudaException("mixtures of experts are not computed on the GPU; networks that have them are refused when the backend is made");

    /// <inheritdoc/>
    public void Logits(HeadWeights weights, IBuffer hidden, int row, Span<float> logits)
    {
        _cuda.MakeCurrent();
        _head.Logits(weights, (CudaBuffer)hidden, row, logits);
    }

    /// <inheritdoc/>
    public void Score(HeadWeights weights, IBuffer hidden, ReadOnlySpan<int> rows, ReadOnlySpan<int> targets, Span<float> logProbs, Span<bool> isArgMax)
    {
        _cuda.MakeCurrent();
        _head.Score(weights, (CudaBuffer)hidden, rows, targets, logProbs, isArgMax);
    }

    /// <inheritdoc/>
    public void CopyRows(IBuffer source, ReadOnlySpan<int> rows, IBuffer destination)
    {
        _cuda.MakeCurrent();
        var from = (CudaBuffer)source;
        var bytes = (long)from.Columns * from.Type.Size();
        nint target = ((CudaBuffer)destination).Resize(rows.Length, from.Columns, from.Type);
        for (var i = 0; i < rows.Length; i++)
            _cuda.Stream.Copy(target + (nint)(i * bytes), from.Pointer + (nint)(rows[i] * bytes), bytes);
    }

    /// <inheritdoc/>
    public void Read(IBuffer source, int row, Span<float> values)
    {
        _cuda.MakeCurrent();
        var from = (CudaBuffer)source;
        var at = from.Pointer + (nint)((long)row * from.Columns * from.Type.Size());
        if (from.Type == CudaType.BFloat16)
        {
            var wide = _converted.Resize(1, from.Columns, CudaType.Float32);
            Elementwise.Convert(_cuda, at, from.Type, wide, CudaType.Float32, from.Columns);
            at = wide;
        }

        _cuda.Stream.Download(at, values);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _cuda.MakeCurrent();
        _cuda.Synchronize();
        foreach (var part in new IDisposable[] { _attention, _head, _batch, _pool, _weights, _product, _converted, _wide, _inner })
            part.Dispose();
    }

    private nint AsFloat(CudaBuffer x) => x.Type == CudaType.Float32 ? x.Pointer : throw new ArgumentException("a delta is float32", nameof(x));

    /// <summary>A buffer as matrices read it.</summary>
    private nint Operand(CudaBuffer x)
    {
        if (x.Type == _type)
            return x.Pointer;
        var target = _converted.Resize(x.Rows, x.Columns, _type);
        Elementwise.Convert(_cuda, x.Pointer, x.Type, target, _type, (long)x.Rows * x.Columns);
        return target;
    }
}
