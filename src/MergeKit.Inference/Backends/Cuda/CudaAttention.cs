using MergeKit.Core.Architectures;
using MergeKit.Inference.Backends.Cuda.Kernels;

namespace MergeKit.Inference.Backends.Cuda;

/// <summary>Rotation, cache and attention of a backend.</summary>
internal sealed class CudaAttention(CudaContext cuda, NetworkSpec network, CudaLinear linear, CudaWeights vectors, CudaBatch batch, KvPool pool) : IDisposable
{
    private readonly CudaType _type = linear.Type;
    private readonly RopeSpec[] _ropes = [.. network.Layers.Select(layer => layer.Attention.Rope).OfType<RopeSpec>().Distinct(ReferenceEqualityComparer.Instance).Cast<RopeSpec>()];
    private readonly CudaLatent _latent = new(cuda, linear, vectors);
    private readonly CudaRotary _rotary = new(cuda);
    private readonly CudaDecode _decode = new(cuda, network, linear.Type, pool);
    private readonly CudaBuffer _keys = new(cuda), _values = new(cuda);
    private DeviceBuffer? _counter;
    private readonly Dictionary<AttentionSpec, float[]> _slopes = new(ReferenceEqualityComparer.Instance);

    /// <summary>Sends what depends on the lengths of a new batch, so that a pass itself sends nothing.</summary>
    public void Set()
    {
        foreach (var rope in _ropes)
            _rotary.Get(rope, batch);
        _decode.Set(batch);
    }

    /// <summary>What decides the launches of a decode step beside the number of sequences and pages.</summary>
    public int StepKey => _decode.Key;

    /// <summary>From hidden states to queries, ragged keys and values, and the cache, by latent attention.</summary>
    public void PrepareLatent(AttentionWeights weights, int layer, CudaBuffer x, CudaBuffer queries)
    {
        var (spec, tokens) = (weights.Spec, batch.Current!.Tokens);
        if (spec.KvHeads != spec.Heads || spec.Rope is not { } rope)
            throw new CudaException("latent attention is computed on the GPU with a key-value head per head and rotary positions only");
        var (cos, sin, rows) = _rotary.Get(rope, batch);
        LatentPrepare.Launch(cuda, spec, _type, tokens, _latent.Project(weights, x) with
        {
            Cos = cos,
            Sin = sin,
            RopeRows = rows,
            Places = batch.Places,
            Table = batch.Table,
            Queries = queries.Resize(tokens, spec.Heads * spec.HeadDim, _type),
            Keys = _keys.Resize(tokens, spec.KvHeads * spec.HeadDim, _type),
            Values = _values.Resize(tokens, spec.KvHeads * spec.ValueDim, _type),
            KeyPages = batch.Table == 0 ? 0 : pool.Keys(layer),
            ValuePages = batch.Table == 0 ? 0 : pool.Values(layer),
            TableStride = batch.TableStride,
        });
    }

    /// <summary>From a fused projection to queries, ragged keys and values, and the cache.</summary>
    public void Prepare(AttentionWeights weights, int layer, nint qkv, nint bias, CudaBuffer queries)
    {
        var (spec, tokens) = (weights.Spec, batch.Current!.Tokens);
        var (cos, sin, rows) = spec.Rope is { } rope ? _rotary.Get(rope, batch) : default;
        QkvPrepare.Launch(cuda, spec, _type, tokens, new QkvPrepare.Parameters
        {
            Qkv = qkv,
            Bias = bias,
            QueryWeight = vectors.Vector(weights.QueryNorm?.Weight),
            QueryBias = vectors.Vector(weights.QueryNorm?.Bias),
            KeyWeight = vectors.Vector(weights.KeyNorm?.Weight),
            KeyBias = vectors.Vector(weights.KeyNorm?.Bias),
            Cos = cos,
            Sin = sin,
            RopeRows = rows,
            Places = batch.Places,
            Table = batch.Table,
            Queries = queries.Resize(tokens, spec.Heads * spec.HeadDim, _type),
            Keys = _keys.Resize(tokens, spec.KvHeads * spec.HeadDim, _type),
            Values = _values.Resize(tokens, spec.KvHeads * spec.ValueDim, _type),
            KeyPages = batch.Table == 0 ? 0 : pool.Keys(layer),
            ValuePages = batch.Table == 0 ? 0 : pool.Values(layer),
            TableStride = batch.TableStride,
            QueryWeights = weights.QueryNorm?.Spec.Size ?? 1,
            KeyWeights = weights.KeyNorm?.Spec.Size ?? 1,
            QueryEpsilon = (float)(weights.QueryNorm?.Spec.Epsilon ?? 0),
            KeyEpsilon = (float)(weights.KeyNorm?.Spec.Epsilon ?? 0),
        });
    }

    /// <summary>Attention over what was just prepared, or over the pages where there is a past.</summary>
    public void Attend(AttentionWeights weights, int layer, CudaBuffer queries, CudaBuffer output)
    {
        var (spec, tokens) = (weights.Spec, batch.Current!.Tokens);
        var form = AttentionForm.Of(spec, network.Causal, _type);
        var operands = new AttentionOperands(
            queries.Pointer, batch.IsFresh ? _keys.Pointer : pool.Keys(layer), batch.IsFresh ? _values.Pointer : pool.Values(layer),
            output.Resize(tokens, spec.Heads * spec.ValueDim, _type), 0, batch.Sequences, batch.Places, batch.Tiles, batch.IsFresh ? 0 : batch.Table,
            batch.TableStride, vectors.Vector(Slopes(spec)), vectors.Vector(weights.Sinks));
        if (_decode.TryAttend(form, layer, batch, operands.Queries, operands.Output, operands.Slopes, operands.Sinks))
            return;
        if (batch.IsFresh && batch.Longest > 1 && AttentionHopper.Supports(cuda.Device, form))
        {
            var shape = AttentionHopper.Choose(form.HeadDim, form.Causal, batch.Longest);
            var (tiles, count) = batch.PromptTiles(form, shape.Rows);
            AttentionHopper.Launch(cuda, form, shape, tokens, tokens, count, Counter(), operands with { Tiles = tiles });
        }
        else if (AttentionMma.Supports(form))
            AttentionMma.Launch(cuda, form, batch.TileCount, operands);
        else
            AttentionPlain.Launch(cuda, form, tokens, operands);
    }

    public void Dispose()
    {
        _rotary.Dispose();
        _latent.Dispose();
        _decode.Dispose();
        _keys.Dispose();
        _values.Dispose();
        _counter?.Dispose();
    }

    private nint Counter()
    {
        if (_counter is null)
        {
            _counter = cuda.Memory.Allocate(8, "a counter of tiles");
            cuda.Stream.Fill(_counter.Pointer, 0, 8);
        }

        return _counter.Pointer;
    }

    private float[]? Slopes(AttentionSpec spec)
    {
        if (spec.AlibiSlopes is not { } slopes)
            return null;
        if (!_slopes.TryGetValue(spec, out var values))
            _slopes[spec] = values = [.. slopes];
        return values;
    }
}
