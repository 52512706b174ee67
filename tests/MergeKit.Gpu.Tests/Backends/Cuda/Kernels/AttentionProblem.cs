using MergeKit.Inference.Backends.Cuda;
using MergeKit.Inference.Backends.Cuda.Kernels;

namespace MergeKit.Gpu.Tests.Backends.Cuda.Kernels;

/// <summary>Random operands of an attention on the device, ragged and in shuffled pages, and what it has to give.</summary>
internal sealed class AttentionProblem : IDisposable
{
    private const int Page = 64;
    private readonly Gpu _gpu;
    private readonly List<DeviceBuffer> _buffers = [];
    private readonly AttentionOperands _ragged, _paged;
    private readonly (int Queries, int Keys)[] _lengths;

    public AttentionProblem(Gpu gpu, AttentionForm form, (int Queries, int Keys)[] lengths, ulong seed)
    {
        (_gpu, Form, _lengths, Tokens) = (gpu, form, lengths, lengths.Sum(length => length.Queries));
        var keyRows = lengths.Sum(length => length.Keys);
        var queries = Gpu.Random(Tokens * form.Heads * form.HeadDim, seed, 2);
        var keys = Gpu.Random(keyRows * form.KvHeads * form.HeadDim, seed + 1);
        var values = Gpu.Random(keyRows * form.KvHeads * form.ValueDim, seed + 2);
        var (slopes, sinks) = (Gpu.Random(form.Heads, seed + 3, 0.05f), Gpu.Random(form.Heads, seed + 4));
        var (q, k, v) = (Keep(gpu.Send(queries, form.Type)), Keep(gpu.Send(keys, form.Type)), Keep(gpu.Send(values, form.Type)));
        var sequences = Sequences();
        var places = sequences.SelectMany((s, i) => Enumerable.Range(0, s.Queries).Select(t => new Int2(i, s.Keys - s.Queries + t))).ToArray();
        var tiles = AttentionMma.Tiles(sequences);
        TileCount = tiles.Length;
        _ragged = new AttentionOperands(
            q, k, v, 0, 0, Keep(gpu.Send(sequences)), Keep(gpu.Send(places)), Keep(gpu.Send(tiles)), 0, 0, Keep(gpu.Send(slopes, CudaType.Float32)), Keep(gpu.Send(sinks, CudaType.Float32)));
        var (table, stride, pages) = Table(sequences);
        _paged = _ragged with
        {
            Keys = Keep(gpu.Send(Pages(keys, form.HeadDim, sequences, table, stride, pages), form.Type)),
            Values = Keep(gpu.Send(Pages(values, form.ValueDim, sequences, table, stride, pages), form.Type)),
            Table = Keep(gpu.Send(table)),
            TableStride = stride,
        };
        Spans = sequences;
        Expected = Reference(queries, keys, values, slopes, sinks, sequences);
    }

    public AttentionForm Form { get; }

    public int Tokens { get; }

    public int TileCount { get; }

    public DeviceSequence[] Spans { get; }

    public int KeyRows => _lengths.Sum(length => length.Keys);

    public float[] Expected { get; }

    public float[] Run(bool paged, Action<AttentionOperands> run)
    {
        using var output = _gpu.Poisoned((long)Tokens * Form.Heads * Form.ValueDim, Form.Type);
        run((paged ? _paged : _ragged) with { Output = output.Pointer });
        return _gpu.Read(output, Form.Type);
    }

    public void Dispose() => _buffers.ForEach(buffer => buffer.Dispose());

    private nint Keep(DeviceBuffer buffer)
    {
        _buffers.Add(buffer);
        return buffer.Pointer;
    }

    private DeviceSequence[] Sequences()
    {
        var (queryStart, keyStart) = (0, 0);
        return Array.ConvertAll(_lengths, length =>
        {
            var sequence = new DeviceSequence(queryStart, length.Queries, keyStart, length.Keys);
            (queryStart, keyStart) = (queryStart + length.Queries, keyStart + length.Keys);
            return sequence;
        });
    }

    /// <summary>Pages from the last to the first, so that none lies where it would by chance.</summary>
    private static (int[] Table, int Stride, int Pages) Table(DeviceSequence[] sequences)
    {
        var stride = sequences.Max(sequence => (sequence.Keys + Page - 1) / Page);
        var pages = sequences.Sum(sequence => (sequence.Keys + Page - 1) / Page);
        var (table, next) = (new int[sequences.Length * stride], pages);
        for (var i = 0; i < sequences.Length; i++)
            for (var page = 0; page < (sequences[i].Keys + Page - 1) / Page; page++)
                table[i * stride + page] = --next;
        return (table, stride, pages);
    }

    /// <summary>[page][kv head][64][width]; NaN behind the end of a sequence.</summary>
    private float[] Pages(float[] rows, int width, DeviceSequence[] sequences, int[] table, int stride, int pages)
    {
        var result = new float[pages * Form.KvHeads * Page * width];
        Array.Fill(result, float.NaN);
        for (var i = 0; i < sequences.Length; i++)
            for (var j = 0; j < sequences[i].Keys; j++)
                for (var head = 0; head < Form.KvHeads; head++)
                    rows.AsSpan(((sequences[i].KeyStart + j) * Form.KvHeads + head) * width, width)
                        .CopyTo(result.AsSpan(((table[i * stride + j / Page] * Form.KvHeads + head) * Page + j % Page) * width));
        return result;
    }

    private float[] Reference(float[] queries, float[] keys, float[] values, float[] slopes, float[] sinks, DeviceSequence[] sequences)
    {
        var output = new float[Tokens * Form.Heads * Form.ValueDim];
        foreach (var sequence in sequences)
            Parallel.For(0, sequence.Queries * Form.Heads, at =>
                One(queries, keys, values, slopes[at % Form.Heads], sinks[at % Form.Heads], sequence, at / Form.Heads, at % Form.Heads, output));
        return output;
    }

    private void One(float[] queries, float[] keys, float[] values, float slope, float sink, DeviceSequence sequence, int query, int head, float[] output)
    {
        var (row, position, kvHead) = (sequence.QueryStart + query, sequence.Keys - sequence.Queries + query, head / (Form.Heads / Form.KvHeads));
        var scores = new double[sequence.Keys];
        for (var j = 0; j < sequence.Keys; j++)
        {
            var visible = (!Form.Causal || j <= position) && (Form.Window == 0 || j > position - Form.Window);
            double dot = 0;
            for (var d = 0; d < Form.HeadDim; d++)
                dot += (double)queries[(row * Form.Heads + head) * Form.HeadDim + d] * keys[((sequence.KeyStart + j) * Form.KvHeads + kvHead) * Form.HeadDim + d];
            dot *= Form.Scale;
            if (Form.Softcap > 0)
                dot = Form.Softcap * Math.Tanh(dot / Form.Softcap);
            scores[j] = !visible ? double.NegativeInfinity : Form.Alibi ? dot + slope * j : dot;
        }

        var max = Math.Max(scores.Max(), Form.Sinks ? sink : double.NegativeInfinity);
        if (double.IsNegativeInfinity(max))
            return;
        var sum = scores.Sum(score => Math.Exp(score - max)) + (Form.Sinks ? Math.Exp(sink - max) : 0);
        for (var d = 0; d < Form.ValueDim; d++)
        {
            double value = 0;
            for (var j = 0; j < sequence.Keys; j++)
                value += Math.Exp(scores[j] - max) * values[((sequence.KeyStart + j) * Form.KvHeads + kvHead) * Form.ValueDim + d];
            output[(row * Form.Heads + head) * Form.ValueDim + d] = (float)(value / sum);
        }
    }
}
