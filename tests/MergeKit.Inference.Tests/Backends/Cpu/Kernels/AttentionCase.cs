using MergeKit.Inference.Backends.Cpu.Kernels;

namespace MergeKit.Inference.Tests.Backends.Cpu.Kernels;

/// <summary>
/// A ragged batch of random queries, keys and values, its attention by the kernel and by plain loops in double precision.
/// </summary>
internal sealed unsafe class AttentionCase
{
    private readonly AttentionShape _shape;
    private readonly (int Start, int Queries, int Keys)[] _sequences;
    private readonly float[] _queries;
    private readonly int _queryStride, _keyStride, _valueStride;
    private readonly float[][] _keys, _values;

    public AttentionCase(
        SplitMix random, AttentionShape shape, (int Queries, int Keys)[] sequences, int padding, bool alibi, bool sinks, float spread = 1)
    {
        _shape = shape;
        _queryStride = (shape.Heads * shape.HeadDim) + padding;
        _keyStride = shape.HeadDim + padding;
        _valueStride = shape.ValueDim + padding;
        _sequences = new (int, int, int)[sequences.Length];
        var start = 0;
        for (var i = 0; i < sequences.Length; i++)
        {
            _sequences[i] = (start, sequences[i].Queries, sequences[i].Keys);
            start += sequences[i].Queries;
        }

        Tokens = start;
        _queries = random.Array((long)start * _queryStride, -spread, spread);
        _keys = [.. sequences.Select(s => Poisoned(random, shape.KvHeads * s.Keys, shape.HeadDim, _keyStride))];
        _values = [.. sequences.Select(s => Poisoned(random, shape.KvHeads * s.Keys, shape.ValueDim, _valueStride))];
        Slopes = alibi ? random.Array(shape.Heads, 0.01f, 0.3f) : null;
        Sinks = sinks ? random.Array(shape.Heads, -2, 2) : null;
    }

    public int Tokens { get; }

    public float[]? Slopes { get; }

    public float[]? Sinks { get; }

    /// <summary>The kernel's result, of all sequences or of one alone, with the output poisoned beforehand.</summary>
    public float[] Run(InstructionPath path, WorkerPool pool, int? only = null)
    {
        var output = new float[Tokens * _shape.Heads * _shape.ValueDim];
        Array.Fill(output, float.NaN);
        var pins = _keys.Concat(_values).Select(array => System.Runtime.InteropServices.GCHandle.Alloc(array, System.Runtime.InteropServices.GCHandleType.Pinned)).ToArray();
        fixed (float* q = _queries)
        {
            var sequences = _sequences.Select((s, i) => new AttentionSequence(
                s.Start, s.Queries, pins[i].AddrOfPinnedObject(), pins[_keys.Length + i].AddrOfPinnedObject(), s.Keys,
                _keyStride, (long)s.Keys * _keyStride, _valueStride, (long)s.Keys * _valueStride));
            var chosen = sequences.Where((_, i) => only is null || only == i).ToArray();
            FlashAttention.Run(path, _shape, new AttentionInputs((nint)q, _queryStride, chosen, Slopes, Sinks), output, pool);
        }

        foreach (var pin in pins)
            pin.Free();
        return output;
    }

    /// <summary>Plain loops in double precision.</summary>
    public double[] Reference()
    {
        var output = new double[Tokens * _shape.Heads * _shape.ValueDim];
        for (var s = 0; s < _sequences.Length; s++)
        {
            for (var i = 0; i < _sequences[s].Queries; i++)
            {
                for (var head = 0; head < _shape.Heads; head++)
                    One(s, i, head, output.AsSpan((((_sequences[s].Start + i) * _shape.Heads) + head) * _shape.ValueDim, _shape.ValueDim));
            }
        }

        return output;
    }

    private void One(int s, int query, int head, Span<double> result)
    {
        var (start, queries, keys) = _sequences[s];
        var position = keys - queries + query;
        var kvHead = head / (_shape.Heads / _shape.KvHeads);
        var weights = new double[keys];
        for (var j = 0; j < keys; j++)
        {
            var hidden = (_shape.Causal && j > position) || (_shape.Window > 0 && j <= position - _shape.Window);
            weights[j] = hidden ? double.NegativeInfinity : Score(s, start + query, head, kvHead, j);
        }

        var sink = Sinks is null ? double.NegativeInfinity : Sinks[head];
        var maximum = weights.Append(sink).Max();
        if (double.IsNegativeInfinity(maximum))
            return;
        var sum = Math.Exp(sink - maximum) + weights.Sum(weight => Math.Exp(weight - maximum));
        for (var j = 0; j < keys; j++)
        {
            for (var d = 0; d < _shape.ValueDim; d++)
                result[d] += Math.Exp(weights[j] - maximum) / sum * _values[s][(((kvHead * keys) + j) * _valueStride) + d];
        }
    }

    private double Score(int s, int row, int head, int kvHead, int key)
    {
        double dot = 0;
        for (var d = 0; d < _shape.HeadDim; d++)
            dot += (double)_queries[(row * _queryStride) + (head * _shape.HeadDim) + d] * _keys[s][(((kvHead * _sequences[s].Keys) + key) * _keyStride) + d];
        var score = dot * _shape.Scale;
        if (_shape.Softcap > 0)
            score = _shape.Softcap * Math.Tanh(score / _shape.Softcap);
        return Slopes is null ? score : score + ((double)Slopes[head] * key);
    }

    private static float[] Poisoned(SplitMix random, int rows, int width, int stride)
    {
        var values = new float[Math.Max(1, rows * stride)];
        Array.Fill(values, float.NaN);
        for (var r = 0; r < rows; r++)
        {
            for (var d = 0; d < width; d++)
                values[(r * stride) + d] = random.Uniform();
        }

        return values;
    }
}
