using MergeKit.Core.Architectures;
using MergeKit.Core.Diagnostics;
using MergeKit.Inference.Backends.Cuda.Kernels;
using MergeKit.Inference.Backends.Cuda.Merging;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Backends.Cuda;

/// <summary>The forward pass on an NVIDIA GPU: residual stream, norms, softmax and log-probabilities in float32, matrices and what they read in one type.</summary>
public sealed class CudaBackend : IBackend
{
    private const long ActivationBytes = 2L << 30;
    private const int MostTokens = 16384, LeastTokens = 512;
    private readonly CudaContext _cuda;
    private readonly NetworkSpec _network;
    private readonly CudaType _type;
    private readonly bool _ownsContext;
    private readonly CudaLinear _linear;
    private readonly CudaWeights _weights;
    private readonly KvPool _pool;
    private readonly CudaBatch _batch;
    private readonly CudaAttention _attention;
    private readonly CudaMoe _moe;
    private readonly CudaHead _head;
    private readonly CudaCombinedHeads _combined;
    private readonly CudaReplay _replay;
    private readonly MoeSpec[] _experts;
    private readonly CudaBuffer _wide, _inner, _shared, _sharedGate, _converted;

    /// <summary>A backend for one network.</summary>
    /// <param name="cuda">The device.</param>
    /// <param name="network">The network.</param>
    /// <param name="type">Type of matrices, of what they read, and of the cache.</param>
    /// <param name="ownsContext">Whether the device is disposed of together with the backend.</param>
    public CudaBackend(CudaContext cuda, NetworkSpec network, CudaType type = CudaType.BFloat16, bool ownsContext = false)
        : this(cuda, network, type, ownsContext, null)
    {
    }

    /// <summary>The same; where <paramref name="landings"/> are given, weights are not sent but noted there.</summary>
    internal CudaBackend(CudaContext cuda, NetworkSpec network, CudaType type, bool ownsContext, WeightLandings? landings)
    {
        ArgumentNullException.ThrowIfNull(cuda);
        (_cuda, _network, _type, _ownsContext) = (cuda, network, type, ownsContext);
        (_linear, _weights, _pool, _batch) = (new CudaLinear(cuda, type), new CudaWeights(cuda, type, landings), new KvPool(cuda, network, type), new CudaBatch(cuda));
        (_wide, _inner, _shared, _sharedGate, _converted) = (new CudaBuffer(cuda), new CudaBuffer(cuda), new CudaBuffer(cuda), new CudaBuffer(cuda), new CudaBuffer(cuda));
        _attention = new CudaAttention(cuda, network, _linear, _weights, _batch, _pool);
        (_moe, _head, _replay) = (new CudaMoe(cuda, _linear, _weights), new CudaHead(cuda, _linear), new CudaReplay(cuda));
        _combined = new CudaCombinedHeads(cuda, _linear);
        _experts = [.. network.Layers.Select(layer => layer.Moe).OfType<MoeSpec>().Distinct()];
        TokensPerPass = PassTokens(network, type);
    }

    /// <inheritdoc/>
    public int TokensPerPass { get; }

    /// <summary>Where it runs.</summary>
    internal CudaContext Cuda => _cuda;

    /// <summary>Type of matrices and of what they read.</summary>
    internal CudaType Type => _type;

    /// <summary>Bytes of activations and logits of the largest pass, about.</summary>
    public static long PassBytes(NetworkSpec network, CudaType type) =>
        PassTokens(network, type) * BytesPerToken(network, type) + CudaHead.WorkspaceBytes(network);

    private static int PassTokens(NetworkSpec network, CudaType type) => (int)Math.Clamp(ActivationBytes / BytesPerToken(network, type), LeastTokens, MostTokens);

    private static long BytesPerToken(NetworkSpec network, CudaType type)
    {
        var size = type.Size();
        var (block, attention) = (0L, 0L);
        foreach (var layer in network.Layers)
        {
            var spec = layer.Attention;
            var (query, own) = ((long)spec.Heads * spec.HeadDim, (long)spec.KvHeads * (spec.HeadDim + spec.ValueDim));
            attention = Math.Max(attention, size * (2 * query + 2 * own + (long)spec.Heads * spec.ValueDim) + (spec.Latent is null ? 0 : 4 * (query + own + 2 * network.HiddenSize)));
            var wide = 3L * size * (layer.Mlp?.Intermediate ?? layer.Moe!.Shared?.Intermediate ?? 0);
            if (layer.Moe is { } moe)
                wide += moe.Routing.TopK * (3L * size * moe.Intermediate + (size + 4L) * network.HiddenSize) + 8L * moe.Routing.Experts;
            block = Math.Max(block, wide);
        }

        return block + attention + (4L + 4 + 3 * size) * network.HiddenSize;
    }

    /// <inheritdoc/>
    public IMatrix LoadMatrix(MatrixSource source)
    {
        _cuda.MakeCurrent();
        return _weights.Matrix(source);
    }

    /// <inheritdoc/>
    public IReadOnlyList<IMatrix> LoadMatrices(IReadOnlyList<MatrixSource> sources)
    {
        _cuda.MakeCurrent();
        return _weights.Stack(sources);
    }

    /// <inheritdoc/>
    public void LoadTable(WeightTensor table)
    {
        if (table.Data != 0)
            LoadMatrix(new MatrixSource([table], false, null));
    }

    /// <inheritdoc/>
    public void VectorsChanged()
    {
        _cuda.MakeCurrent();
        _weights.SendVectors();
    }

    /// <inheritdoc/>
    public IBuffer CreateBuffer() => new CudaBuffer(_cuda);

    /// <inheritdoc/>
    public IKvCache CreateCache() => new CudaKvCache(_pool);

    /// <inheritdoc/>
    public void Extend(ForwardBatch batch)
    {
        _cuda.MakeCurrent();
        _weights.Finish();
        if (CudaBatch.Keeps(batch))
            foreach (var sequence in batch.Sequences)
                ((CudaKvCache)sequence.Cache).Extend(sequence.Count);
        _batch.Set(batch);
        _attention.Set();
    }

    /// <inheritdoc/>
    /// <remarks>Decode steps are recorded and replayed, unless a part of them waits for the host.</remarks>
    public void Run(ForwardBatch batch, NetworkWeights weights, Action pass)
    {
        if (CudaDecode.IsStep(batch) && _experts.All(moe => CudaMoe.IsOnDevice(_cuda.Device, moe, _network.HiddenSize, _type, batch.Tokens)))
            _replay.Run(new StepKey(weights, batch.Sequences.Length, _batch.TableStride, _attention.StepKey), pass);
        else
            pass();
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
    public void Project(IMatrix matrix, IBuffer x, IBuffer output, bool accumulate) =>
        _linear.Project((CudaMatrix)matrix, (CudaBuffer)x, (CudaBuffer)output, accumulate);

    /// <inheritdoc/>
    public void Activate(Activation activation, IBuffer x)
    {
        var buffer = (CudaBuffer)x;
        Elementwise.Activate(_cuda, activation, buffer.Pointer, 0, buffer.Pointer, buffer.Rows, buffer.Columns, buffer.Type);
    }

    /// <inheritdoc/>
    public void ProjectQkv(AttentionWeights weights, int layer, IBuffer x, ForwardBatch batch, IBuffer queries)
    {
        if (weights.Qkv is not CudaMatrix matrix)
            _attention.PrepareLatent(weights, layer, (CudaBuffer)x, (CudaBuffer)queries);
        else
            _attention.Prepare(weights, layer, _linear.Multiply(matrix, (CudaBuffer)x, _wide), matrix.Bias, (CudaBuffer)queries);
    }

    /// <inheritdoc/>
    public void Attend(AttentionWeights weights, int layer, IBuffer queries, ForwardBatch batch, IBuffer output) =>
        _attention.Attend(weights, layer, (CudaBuffer)queries, (CudaBuffer)output);

    /// <inheritdoc/>
    public void Mlp(MlpWeights weights, IBuffer x, IBuffer output, bool accumulate)
    {
        var (input, rows) = ((CudaMatrix)weights.Input, x.Rows);
        if (_linear.TryGated(weights, (CudaBuffer)x, _inner))
        {
            _linear.Project((CudaMatrix)weights.Down, _inner, (CudaBuffer)output, accumulate);
            return;
        }

        var wide = _linear.Multiply(input, (CudaBuffer)x, _wide);
        var inner = _inner.Resize(rows, weights.Intermediate, _type);
        if (weights.Gate == GateKind.None)
            Elementwise.Activate(_cuda, weights.Activation, wide, input.Bias, inner, rows, weights.Intermediate, _type);
        else
            Elementwise.Gate(_cuda, weights.Activation, weights.Gate, weights.ClampedLimit, wide, input.Bias, inner, rows, weights.Intermediate, _type);
        _linear.Project((CudaMatrix)weights.Down, _inner, (CudaBuffer)output, accumulate);
    }

    /// <inheritdoc/>
    public void Moe(MoeWeights weights, IBuffer x, IBuffer output, bool accumulate, RouterChoice? choice)
    {
        var (input, result) = ((CudaBuffer)x, (CudaBuffer)output);
        if (!accumulate)
            _cuda.Stream.Fill(result.Resize(input.Rows, input.Columns, CudaType.Float32), 0, (long)input.Rows * input.Columns * sizeof(float));
        _moe.Run(weights, input, result, choice);
        if (weights.Shared is not { } shared)
            return;
        if (weights.SharedGate is null)
        {
            Mlp(shared, x, output, accumulate: true);
            return;
        }

        Mlp(shared, x, _shared, accumulate: false);
        _linear.Project((CudaMatrix)weights.SharedGate, input, _sharedGate, accumulate: false);
        Elementwise.AddGated(_cuda, result.Pointer, _shared.Pointer, _sharedGate.Pointer, input.Rows, input.Columns);
    }

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
    public void ArgMax(HeadWeights weights, IBuffer hidden, ReadOnlySpan<int> rows, Span<int> ids)
    {
        _cuda.MakeCurrent();
        _head.ArgMax(weights, (CudaBuffer)hidden, rows, ids);
    }

    /// <inheritdoc/>
    public int Draw(HeadWeights weights, IBuffer hidden, int row, in DrawRule rule)
    {
        _cuda.MakeCurrent();
        return _head.Draw(weights, (CudaBuffer)hidden, row, rule);
    }

    /// <inheritdoc/>
    public IPendingIds QueueArgMax(HeadWeights weights, IBuffer hidden)
    {
        _cuda.MakeCurrent();
        return _head.QueueArgMax(weights, (CudaBuffer)hidden);
    }

    /// <inheritdoc/>
    public bool TryScoreCombined(CombinedHeads heads, ReadOnlySpan<int> targets, Span<float> logProbs, Span<bool> isArgMax) =>
        _combined.TryScore(heads, targets, logProbs, isArgMax);

    /// <inheritdoc/>
    public bool TryCombine(CombinedHeads heads, Span<float> logProbs) => _combined.TryCombine(heads, logProbs);

    /// <inheritdoc/>
    public void CopyRows(IBuffer source, ReadOnlySpan<int> rows, IBuffer destination)
    {
        _cuda.MakeCurrent();
        var from = (CudaBuffer)source;
        var bytes = (long)from.Columns * from.Type.Size();
        nint target = ((CudaBuffer)destination).Resize(rows.Length, from.Columns, from.Type);
        for (int i = 0, end; i < rows.Length; i = end)
        {
            for (end = i + 1; end < rows.Length && rows[end] == rows[end - 1] + 1; end++)
            {
            }

            _cuda.Stream.Copy(target + (nint)(i * bytes), from.Pointer + (nint)(rows[i] * bytes), (end - i) * bytes);
        }
    }

    /// <inheritdoc/>
    public void Read(IBuffer source, int row, Span<float> values)
    {
        _cuda.MakeCurrent();
        var from = (CudaBuffer)source;
        var at = from.Pointer + (nint)((long)row * from.Columns * from.Type.Size());
        if (from.Type == CudaType.BFloat16)
        {
            var wide = _converted.Resize(values.Length / from.Columns, from.Columns, CudaType.Float32);
            Elementwise.Convert(_cuda, at, from.Type, wide, CudaType.Float32, values.Length);
            at = wide;
        }

        _cuda.Stream.Download(at, values);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _cuda.MakeCurrent();
        _cuda.Synchronize();
        foreach (var part in new IDisposable[] { _replay, _attention, _moe, _combined, _head, _batch, _pool, _weights, _linear, _wide, _inner, _shared, _sharedGate, _converted })
            part.Dispose();
        if (_ownsContext)
            _cuda.Dispose();
    }

    private static nint AsFloat(CudaBuffer x) => x.Type == CudaType.Float32 ? x.Pointer : throw new ArgumentException("a delta is float32", nameof(x));
}
