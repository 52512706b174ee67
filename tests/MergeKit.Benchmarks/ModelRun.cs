using MergeKit.Core.Numerics;
using MergeKit.Inference.Backends.Cpu.Kernels;

namespace MergeKit.Benchmarks;

/// <summary>
/// The sequence of kernels of a SmolLM-135M-shaped forward pass over random weights: 30 layers of norm, QKV, attention, output, norm,
/// gate and up, SwiGLU, down, with
/// residuals folded into the products, then the tied head with log-probabilities in chunks. Embedding and rotation, which no kernel here
/// computes, are left out.
/// </summary>
internal sealed unsafe class ModelRun : IDisposable
{
    public const int Hidden = 576, Layers = 30, Heads = 9, KvHeads = 3, Width = 64, Intermediate = 1536, Vocabulary = 49_152;
    private const int HeadRows = 512, HeadColumns = 4096;
    private const int QkvRows = (Heads + (2 * KvHeads)) * Width;
    private const long LayerElements = ((long)QkvRows + (Heads * Width) + (3L * Intermediate)) * Hidden;
    private readonly Block _weights, _keys, _values;
    private readonly DType _type;
    private readonly int _tokens, _context;
    private readonly WorkerPool _pool;
    private readonly float[] _hidden, _normed, _qkv, _attended, _wide, _inner, _logits, _norm;

    public ModelRun(DType type, int tokens, int context, WorkerPool pool)
    {
        (_type, _tokens, _context, _pool) = (type, tokens, context, pool);
        _weights = new Block(type.Size() * ((Layers * LayerElements) + ((long)Vocabulary * Hidden)));
        (_keys, _values) = (new Block(4L * Layers * KvHeads * Width * context), new Block(4L * Layers * KvHeads * Width * context));
        (_hidden, _normed, _qkv) = (new float[tokens * Hidden], new float[tokens * Hidden], new float[tokens * QkvRows]);
        _attended = new float[tokens * Heads * Width];
        (_wide, _inner) = (new float[tokens * 2 * Intermediate], new float[tokens * Intermediate]);
        _logits = new float[Math.Max(HeadRows * HeadColumns, Vocabulary)];
        _norm = new float[Hidden];
        Array.Fill(_norm, 1f);
    }

    public static double Parameters => (Layers * (double)LayerElements) + ((double)Vocabulary * Hidden);

    public Block Weights => _weights;

    /// <summary>Scores all tokens but gives no result: the time is what counts.</summary>
    public void Score()
    {
        Forward();
        var states = new LogSumExp[HeadRows];
        for (var start = 0; start < _tokens; start += HeadRows)
        {
            var count = Math.Min(HeadRows, _tokens - start);
            Array.Fill(states, new LogSumExp());
            for (var first = 0; first < Vocabulary; first += HeadColumns)
            {
                var rows = _normed.AsSpan(start * Hidden, count * Hidden);
                MatrixProduct.Multiply(rows, count, Head(first, HeadColumns), _logits, HeadColumns, _pool);
                var id = first;
                _pool.For(count, (row, _) => VectorOps.Accumulate(_logits.AsSpan(row * HeadColumns, HeadColumns), id, ref states[row]));
            }
        }
    }

    /// <summary>One step of decoding: the last token's logits.</summary>
    public void Step()
    {
        Forward();
        MatrixProduct.Multiply(_normed.AsSpan((_tokens - 1) * Hidden, Hidden), 1, Head(0, Vocabulary), _logits, Vocabulary, _pool);
    }

    public void Dispose()
    {
        _weights.Dispose();
        _keys.Dispose();
        _values.Dispose();
    }

    private void Forward()
    {
        Array.Fill(_hidden, 0.5f);
        for (var layer = 0; layer < Layers; layer++)
        {
            var at = layer * LayerElements;
            Normalize();
            Multiply(_normed, Hidden, ref at, QkvRows, _qkv, 0);
            Attend(layer);
            Multiply(_attended, Hidden, ref at, Hidden, _hidden, 1);
            Normalize();
            Multiply(_normed, Hidden, ref at, 2 * Intermediate, _wide, 0);
            _pool.For(_tokens, (token, _) =>
            {
                var wide = _wide.AsSpan(token * 2 * Intermediate, 2 * Intermediate);
                var inner = _inner.AsSpan(token * Intermediate, Intermediate);
                VectorOps.Gated(VectorFunction.Silu, wide[..Intermediate], wide[Intermediate..], inner);
            });
            Multiply(_inner, Intermediate, ref at, Hidden, _hidden, 1);
        }

        Normalize();
    }

    private void Normalize() => _pool.For(_tokens, (token, _) =>
    {
        var (from, to) = (token * Hidden, (token + 1) * Hidden);
        VectorOps.RmsNorm(_hidden.AsSpan()[from..to], _norm, 1e-5f, _normed.AsSpan()[from..to]);
    });

    private void Multiply(float[] x, int inputs, ref long at, int outputs, float[] y, float beta)
    {
        var weights = new WeightMatrix(_weights.Address + (nint)(at * _type.Size()), _type, outputs, inputs, inputs);
        MatrixProduct.Multiply(x, _tokens, weights, y, outputs, _pool, beta);
        at += (long)inputs * outputs;
    }

    private WeightMatrix Head(int first, int count)
    {
        var address = _weights.Address + (nint)(Layers * LayerElements * _type.Size());
        return new WeightMatrix(address, _type, Vocabulary, Hidden, Hidden).Slice(first, count);
    }

    private void Attend(int layer)
    {
        var offset = 4L * layer * KvHeads * Width * _context;
        _pool.For(_tokens, (token, _) => Cache(offset, token));
        var (keys, values, headStride) = (_keys.Address + (nint)offset, _values.Address + (nint)offset, (long)_context * Width);
        var sequence = new AttentionSequence(0, _tokens, keys, values, _context, Width, headStride, Width, headStride);
        fixed (float* qkv = _qkv)
        {
            var inputs = new AttentionInputs((nint)qkv, QkvRows, [sequence]);
            FlashAttention.Run(new AttentionShape(Heads, KvHeads, Width, Width, 0.125f, Causal: true), inputs, _attended, _pool);
        }
    }

    /// <summary>A token's keys and values to their places.</summary>
    private void Cache(long offset, int token)
    {
        for (var head = 0; head < KvHeads; head++)
        {
            var place = (int)(offset / 4) + (((head * _context) + _context - _tokens + token) * Width);
            var key = _qkv.AsSpan((token * QkvRows) + ((Heads + head) * Width), Width);
            key.CopyTo(_keys.Floats.Slice(place, Width));
            _qkv.AsSpan((token * QkvRows) + ((Heads + KvHeads + head) * Width), Width).CopyTo(_values.Floats.Slice(place, Width));
        }
    }
}
