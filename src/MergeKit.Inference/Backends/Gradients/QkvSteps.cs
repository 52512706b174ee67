using System.Numerics;
using System.Numerics.Tensors;
using MergeKit.Core.Architectures;
using MergeKit.Inference.Backends.Cpu;

namespace MergeKit.Inference.Backends.Gradients;

/// <summary>Queries, keys and values of one layer.</summary>
internal sealed record Heads(TapeValue Queries, TapeValue Keys, TapeValue Values);

/// <summary>Projection to queries, keys and values, with norms and rotation.</summary>
internal sealed class QkvSteps(Tape tape)
{
    private readonly RotaryTables _tables = new();

    public Heads Project(AttentionWeights weights, TapeValue x, ForwardBatch batch) =>
        weights.Latent is { } latent ? Latent(weights, latent, x, batch) : Plain(weights, x, batch);

    private Heads Plain(AttentionWeights weights, TapeValue x, ForwardBatch batch)
    {
        var spec = weights.Spec;
        var qkv = tape.Linear(weights.Qkv!, x);
        var (queries, keys, values) = Columns(spec);
        return new Heads(
            Rotate(tape.Norm(weights.QueryNorm, tape.Select(qkv, queries)), spec.Rope, spec.HeadDim, 0, batch),
            Rotate(tape.Norm(weights.KeyNorm, tape.Select(qkv, keys)), spec.Rope, spec.HeadDim, 0, batch),
            tape.Select(qkv, values));
    }

    /// <summary>Where queries, keys and values stand in a row of the projection.</summary>
    private static (int[] Queries, int[] Keys, int[] Values) Columns(AttentionSpec spec)
    {
        var (width, group) = (spec.HeadDim, spec.Heads / spec.KvHeads);
        if (spec.Layout != QkvLayout.GroupedByKvHead)
        {
            var (keys, values) = (spec.Heads * width, (spec.Heads + spec.KvHeads) * width);
            return ([.. Enumerable.Range(0, keys)], [.. Enumerable.Range(keys, spec.KvHeads * width)], [.. Enumerable.Range(values, spec.KvHeads * spec.ValueDim)]);
        }

        IEnumerable<int> Parts(int first, int heads) => Enumerable.Range(0, spec.KvHeads).SelectMany(kv => Enumerable.Range((kv * (group + 2) + first) * width, heads * width));
        return ([.. Parts(0, group)], [.. Parts(group, 1)], [.. Parts(group + 1, 1)]);
    }

    private Heads Latent(AttentionWeights weights, LatentWeights latent, TapeValue x, ForwardBatch batch)
    {
        var (spec, form) = (weights.Spec, weights.Spec.Latent!);
        var input = latent.QueryDown is { } queryDown ? tape.Norm(latent.QueryNorm, tape.Linear(queryDown, x)) : x;
        var queries = Rotate(tape.Linear(latent.QueryUp, input), spec.Rope, spec.HeadDim, form.PlainDim, batch);
        var down = tape.Linear(latent.KeyValueDown, x);
        var compact = tape.Norm(latent.KeyValueNorm, tape.Select(down, [.. Enumerable.Range(0, form.Rank)]));
        var rotary = Rotate(tape.Select(down, [.. Enumerable.Range(form.Rank, form.RotaryDim)]), spec.Rope, form.RotaryDim, 0, batch);
        var expanded = tape.Linear(latent.KeyValueUp, compact);
        var (head, shared) = (form.PlainDim + spec.ValueDim, expanded.Columns);
        var heads = Enumerable.Range(0, spec.Heads).ToList();
        var keys = heads.SelectMany(h => Enumerable.Range(h * head, form.PlainDim).Concat(Enumerable.Range(shared, form.RotaryDim)));
        var values = heads.SelectMany(h => Enumerable.Range(h * head + form.PlainDim, spec.ValueDim));
        return new Heads(queries, tape.Select(tape.Join(expanded, rotary), [.. keys]), tape.Select(expanded, [.. values]));
    }

    /// <summary>Rotates pairs of each head by angles that grow with the position; the way back is the rotation by the opposite angles.</summary>
    private TapeValue Rotate(TapeValue x, RopeSpec? rope, int headWidth, int first, ForwardBatch batch)
    {
        if (rope is null)
            return x;
        var tables = Array.ConvertAll(batch.Sequences, sequence => _tables.Get(rope, sequence.RotaryLength));
        var y = tape.Value(x.Rows, x.Columns);
        x.Data.CopyTo(y.Data, 0);
        ForHeads((table, token, at) => table.Rotate(y.Row(token).Slice(at, headWidth - first), batch.Positions[token]));
        return tape.Record(y, () =>
        {
            ForHeads((table, token, at) => RotateBack(table, rope, y.GradientRow(token).Slice(at, rope.Dim), batch.Positions[token]));
            TensorPrimitives.Add(x.Gradient, y.Gradient, x.Gradient);
        });

        void ForHeads(Action<RotaryTables.Table, int, int> rotate)
        {
            for (var sequence = 0; sequence < tables.Length; sequence++)
                for (var token = batch.Sequences[sequence].Start; token < batch.Sequences[sequence].Start + batch.Sequences[sequence].Count; token++)
                    for (var at = first; at < x.Columns; at += headWidth)
                        rotate(tables[sequence], token, at);
        }
    }

    private static void RotateBack(RotaryTables.Table table, RopeSpec rope, Span<float> head, int position)
    {
        var half = rope.Dim / 2;
        for (var i = 0; i < half; i++)
        {
            var (cos, sin) = (table.Cos[position * half + i], table.Sin[position * half + i]);
            var (first, second) = rope.Interleaved ? (2 * i, 2 * i + 1) : (i, half + i);
            (head[first], head[second]) = (head[first] * cos + head[second] * sin, head[second] * cos - head[first] * sin);
        }
    }
}
