using MergeKit.Core.Architectures;
using MergeKit.Inference.Backends.Cpu.Kernels;

namespace MergeKit.Inference.Backends.Cpu;

/// <summary>Projection to queries, keys and values; rotation; cache; attention.</summary>
internal sealed class CpuAttention(NetworkSpec network, WorkerPool pool) : IDisposable
{
    private readonly RotaryTables _rotary = new();
    private readonly CpuBuffer _qkv = new(), _latent = new(), _expanded = new();

    /// <summary>Fills the queries, [tokens, heads x width], and the new places of the caches.</summary>
    public void Project(AttentionWeights weights, int layer, CpuBuffer x, ForwardBatch batch, CpuBuffer queries)
    {
        queries.Resize(x.Rows, weights.Spec.Heads * weights.Spec.HeadDim);
        if (weights.Latent is { } latent)
            ProjectLatent(weights, latent, layer, x, batch, queries);
        else
            ProjectPlain(weights, layer, x, batch, queries);
    }

    /// <summary>Attention over the caches, [tokens, heads x value width].</summary>
    public unsafe void Attend(AttentionWeights weights, int layer, CpuBuffer queries, ForwardBatch batch, CpuBuffer output)
    {
        var spec = weights.Spec;
        var shape = new AttentionShape(
            spec.Heads, spec.KvHeads, spec.HeadDim, spec.ValueDim, spec.Scale, network.Causal, spec.Window ?? 0, spec.Softcap ?? 0);
        var sequences = Array.ConvertAll(batch.Sequences, sequence =>
        {
            var cache = (CpuKvCache)sequence.Cache;
            return new AttentionSequence(
                sequence.Start, sequence.Count, cache.Keys(layer), cache.Values(layer), sequence.Past + sequence.Count,
                spec.HeadDim, (long)cache.Capacity * spec.HeadDim, spec.ValueDim, (long)cache.Capacity * spec.ValueDim);
        });
        var inputs = new AttentionInputs(queries.Address, queries.Columns, sequences, spec.AlibiSlopes?.ToArray(), weights.Sinks);
        FlashAttention.Run(shape, inputs, output.Resize(queries.Rows, spec.Heads * spec.ValueDim).Span, pool);
    }

    public void Dispose()
    {
        _qkv.Dispose();
        _latent.Dispose();
        _expanded.Dispose();
    }

    private void ProjectPlain(AttentionWeights weights, int layer, CpuBuffer x, ForwardBatch batch, CpuBuffer queries)
    {
        var spec = weights.Spec;
        var matrix = (CpuMatrix)weights.Qkv!;
        matrix.Multiply(x.Span, x.Rows, _qkv.Resize(x.Rows, matrix.Rows).Span, pool, accumulate: false);
        var qkv = _qkv;
        var tables = Tables(spec.Rope, batch);
        ForTokens(batch, (sequence, cache, token, position) =>
        {
            var row = qkv.Row(token);
            var query = queries.Row(token);
            var key = Gather(spec, row, query);
            if (weights.QueryNorm is { } queryNorm)
                CpuNorm.Apply(queryNorm, query, query);
            if (weights.KeyNorm is { } keyNorm)
                CpuNorm.Apply(keyNorm, key, key);
            for (var head = 0; head < spec.Heads; head++)
                tables[sequence]?.Rotate(query.Slice(head * spec.HeadDim, spec.HeadDim), position);
            for (var head = 0; head < spec.KvHeads; head++)
            {
                var part = key.Slice(head * spec.HeadDim, spec.HeadDim);
                tables[sequence]?.Rotate(part, position);
                part.CopyTo(cache.Key(layer, head, position));
                row.Slice(ValueAt(spec, head), spec.ValueDim).CopyTo(cache.Value(layer, head, position));
            }
        });
    }

    /// <summary>Copies the queries out of a row of projections, and returns the keys side by side.</summary>
    private static Span<float> Gather(AttentionSpec spec, Span<float> row, Span<float> query)
    {
        var (width, group) = (spec.HeadDim, spec.Heads / spec.KvHeads);
        if (spec.Layout != QkvLayout.GroupedByKvHead)
        {
            row[..query.Length].CopyTo(query);
            return row.Slice(query.Length, spec.KvHeads * width);
        }

        var keys = new float[spec.KvHeads * width];
        for (var kvHead = 0; kvHead < spec.KvHeads; kvHead++)
        {
            var block = row[(kvHead * (group + 2) * width)..];
            block[..(group * width)].CopyTo(query[(kvHead * group * width)..]);
            block.Slice(group * width, width).CopyTo(keys.AsSpan(kvHead * width));
        }

        return keys;
    }

    private static int ValueAt(AttentionSpec spec, int kvHead) => spec.Layout == QkvLayout.GroupedByKvHead
        ? ((kvHead + 1) * (spec.Heads / spec.KvHeads + 2) - 1) * spec.HeadDim
        : (spec.Heads + spec.KvHeads) * spec.HeadDim + kvHead * spec.ValueDim;

    private void ProjectLatent(AttentionWeights weights, LatentWeights latent, int layer, CpuBuffer x, ForwardBatch batch, CpuBuffer queries)
    {
        var (spec, form) = (weights.Spec, weights.Spec.Latent!);
        ProjectLatentQueries(latent, x, queries);
        var down = (CpuMatrix)latent.KeyValueDown;
        down.Multiply(x.Span, x.Rows, _latent.Resize(x.Rows, down.Rows).Span, pool, accumulate: false);
        var compact = _qkv.Resize(x.Rows, form.Rank);
        for (var token = 0; token < x.Rows; token++)
            CpuNorm.Apply(latent.KeyValueNorm, _latent.Row(token)[..form.Rank], compact.Row(token));
        var up = (CpuMatrix)latent.KeyValueUp;
        up.Multiply(compact.Span, x.Rows, _expanded.Resize(x.Rows, up.Rows).Span, pool, accumulate: false);
        var (expanded, lows, tables) = (_expanded, _latent, Tables(spec.Rope, batch));
        ForTokens(batch, (sequence, cache, token, position) =>
        {
            var query = queries.Row(token);
            var rotary = lows.Row(token)[form.Rank..];
            tables[sequence]?.Rotate(rotary, position);
            for (var head = 0; head < spec.Heads; head++)
            {
                tables[sequence]?.Rotate(query.Slice(head * spec.HeadDim + form.PlainDim, form.RotaryDim), position);
                var own = expanded.Row(token).Slice(head * (form.PlainDim + spec.ValueDim), form.PlainDim + spec.ValueDim);
                var key = cache.Key(layer, head, position);
                own[..form.PlainDim].CopyTo(key);
                rotary.CopyTo(key[form.PlainDim..]);
                own[form.PlainDim..].CopyTo(cache.Value(layer, head, position));
            }
        });
    }

    private void ProjectLatentQueries(LatentWeights latent, CpuBuffer x, CpuBuffer queries)
    {
        var input = x;
        if (latent.QueryDown is CpuMatrix down)
        {
            down.Multiply(x.Span, x.Rows, _latent.Resize(x.Rows, down.Rows).Span, pool, accumulate: false);
            for (var token = 0; token < x.Rows; token++)
                CpuNorm.Apply(latent.QueryNorm!, _latent.Row(token), _latent.Row(token));
            input = _latent;
        }

        ((CpuMatrix)latent.QueryUp).Multiply(input.Span, input.Rows, queries.Span, pool, accumulate: false);
    }

    /// <summary>One rotary table per sequence; null entries where nothing is rotated.</summary>
    private RotaryTables.Table?[] Tables(RopeSpec? rope, ForwardBatch batch) =>
        Array.ConvertAll(batch.Sequences, sequence => rope is null ? null : _rotary.Get(rope, sequence.Past + sequence.Count));

    private void ForTokens(ForwardBatch batch, Action<int, CpuKvCache, int, int> body)
    {
        var sequences = batch.Sequences;
        var owner = new int[batch.Tokens];
        for (var i = 0; i < sequences.Length; i++)
            owner.AsSpan(sequences[i].Start, sequences[i].Count).Fill(i);
        pool.For(batch.Tokens, (token, _) => body(owner[token], (CpuKvCache)sequences[owner[token]].Cache, token, batch.Positions[token]));
    }
}
