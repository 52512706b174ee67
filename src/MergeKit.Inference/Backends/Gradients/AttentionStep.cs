using System.Numerics.Tensors;
using MergeKit.Core.Architectures;

namespace MergeKit.Inference.Backends.Gradients;

/// <summary>Softmax attention of whole sequences. Scores are worked out again on the way back, so that memory stays linear in the length:
/// with weights p and dp_j = dO V_j, ds_j = p_j (dp_j - sum_k p_k dp_k); a sink's share is part of that sum with dp = 0.</summary>
/// <param name="weights">The layer's attention.</param>
/// <param name="heads">Queries, keys and values.</param>
/// <param name="batch">The sequences.</param>
/// <param name="causal">Whether a query sees only itself and what came before.</param>
internal sealed class AttentionStep(AttentionWeights weights, Heads heads, ForwardBatch batch, bool causal)
{
    private readonly AttentionSpec _spec = weights.Spec;

    public TapeValue Attend(Tape tape)
    {
        var y = tape.Value(heads.Queries.Rows, _spec.Heads * _spec.ValueDim);
        ForHeads(tape, (sequence, head, query, scores) =>
        {
            var (from, count) = Weigh(sequence, head, query, scores, slopes: []);
            var output = y.Row(sequence.Start + query).Slice(head * _spec.ValueDim, _spec.ValueDim);
            for (var j = 0; j < count; j++)
                TensorPrimitives.MultiplyAdd(Value(heads.Values.Row(sequence.Start + from + j), head), scores[j], output, output);
        });
        var sinks = new double[_spec.Heads];
        return tape.Record(y, () =>
        {
            // Arrays that several heads add to exist before any of them starts.
            _ = (heads.Queries.Gradient, heads.Keys.Gradient, heads.Values.Gradient);
            Array.Clear(sinks);
            ForHeads(tape, (sequence, head, query, scores) => Back(y, sequence, head, query, scores, sinks));
            if (_spec.Sinks is { } tensor && tape.Parameters.Of(tensor.Name, 0, sinks.Length) is { IsEmpty: false } gradient)
                for (var head = 0; head < sinks.Length; head++)
                    gradient[head] += (float)sinks[head];
        });
    }

    private void Back(TapeValue y, SequenceSpan sequence, int head, int query, float[] scores, double[] sinks)
    {
        var (row, slopes) = (sequence.Start + query, _spec.Softcap is null ? [] : new float[scores.Length]);
        var (from, count) = Weigh(sequence, head, query, scores, slopes);
        var gradient = y.GradientRow(row).Slice(head * _spec.ValueDim, _spec.ValueDim);
        var (sum, total, products) = (0.0, 0.0, new float[count]);
        for (var j = 0; j < count; j++)
        {
            products[j] = TensorPrimitives.Dot(gradient, Value(heads.Values.Row(sequence.Start + from + j), head));
            sum += (double)scores[j] * products[j];
            total += scores[j];
            var values = Value(heads.Values.GradientRow(sequence.Start + from + j), head);
            TensorPrimitives.MultiplyAdd(gradient, scores[j], values, values);
        }

        if (weights.Sinks is not null)
            sinks[head] -= (1 - total) * sum;
        var queries = Query(heads.Queries.Row(row), head);
        var queryGradient = Query(heads.Queries.GradientRow(row), head);
        for (var j = 0; j < count; j++)
        {
            var slope = (float)(scores[j] * (products[j] - sum)) * _spec.Scale * (slopes.Length > 0 ? slopes[j] : 1);
            TensorPrimitives.MultiplyAdd(Key(heads.Keys.Row(sequence.Start + from + j), head), slope, queryGradient, queryGradient);
            var keys = Key(heads.Keys.GradientRow(sequence.Start + from + j), head);
            TensorPrimitives.MultiplyAdd(queries, slope, keys, keys);
        }
    }

    /// <summary>The weights of the keys that a query sees, from the first of them on.</summary>
    /// <param name="sequence">The sequence.</param>
    /// <param name="head">Query head.</param>
    /// <param name="query">Position of the query.</param>
    /// <param name="scores">Receives the weights.</param>
    /// <param name="slopes">Receives the derivatives of the soft cap where there is one; may be empty.</param>
    private (int From, int Count) Weigh(SequenceSpan sequence, int head, int query, float[] scores, Span<float> slopes)
    {
        var from = _spec.Window is { } window ? Math.Max(0, query - window + 1) : 0;
        var count = (causal ? query + 1 : sequence.Count) - from;
        var q = Query(heads.Queries.Row(sequence.Start + query), head);
        var maximum = weights.Sinks?[head] ?? float.NegativeInfinity;
        for (var j = 0; j < count; j++)
        {
            var score = _spec.Scale * TensorPrimitives.Dot<float>(q, Key(heads.Keys.Row(sequence.Start + from + j), head));
            if (_spec.Softcap is { } cap)
            {
                var t = MathF.Tanh(score / cap);
                score = cap * t;
                if (!slopes.IsEmpty)
                    slopes[j] = 1 - t * t;
            }

            if (_spec.AlibiSlopes is { } alibi)
                score += alibi[head] * (from + j - (weights.Sinks is null ? query : 0));
            scores[j] = score;
            maximum = MathF.Max(maximum, score);
        }

        var sum = weights.Sinks is { } sinks ? Math.Exp(sinks[head] - maximum) : 0;
        for (var j = 0; j < count; j++)
            sum += scores[j] = MathF.Exp(scores[j] - maximum);
        TensorPrimitives.Multiply(scores.AsSpan(0, count), (float)(1 / sum), scores.AsSpan(0, count));
        return (from, count);
    }

    private Span<float> Query(Span<float> row, int head) => row.Slice(head * _spec.HeadDim, _spec.HeadDim);

    private Span<float> Key(Span<float> row, int head) => row.Slice(head / (_spec.Heads / _spec.KvHeads) * _spec.HeadDim, _spec.HeadDim);

    private Span<float> Value(Span<float> row, int head) => row.Slice(head / (_spec.Heads / _spec.KvHeads) * _spec.ValueDim, _spec.ValueDim);

    /// <summary>Calls for every query of every head; one task has all of a key-value head, so that no two write to the same place.</summary>
    private void ForHeads(Tape tape, Action<SequenceSpan, int, int, float[]> body)
    {
        var (group, longest) = (_spec.Heads / _spec.KvHeads, batch.Sequences.Max(sequence => sequence.Count));
        tape.Pool.For(_spec.KvHeads, (keyHead, _) =>
        {
            var scores = new float[longest];
            for (var head = keyHead * group; head < (keyHead + 1) * group; head++)
                foreach (var sequence in batch.Sequences)
                    for (var query = 0; query < sequence.Count; query++)
                        body(sequence, head, query, scores);
        });
    }
}
