using System.Numerics.Tensors;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Numerics;

namespace MergeKit.Inference.Runtime;

/// <summary>Draws the next token from logits.</summary>
public sealed class Sampler
{
    private readonly SamplerOptions _options;

    /// <summary>A sampler.</summary>
    /// <exception cref="InputException">An option is out of range.</exception>
    public Sampler(SamplerOptions options)
    {
        options.Check();
        _options = options;
    }

    /// <summary>Draws an id.</summary>
    /// <param name="logits">One per id; overwritten.</param>
    /// <param name="history">Ids already there, for the repetition penalty.</param>
    /// <param name="step">Number of the draw; each has randomness of its own.</param>
    /// <exception cref="InputException">No logit is finite.</exception>
    public int Next(Span<float> logits, ReadOnlySpan<int> history, long step)
    {
        Penalise(logits, history);
        var best = TensorPrimitives.IndexOfMax<float>(logits);
        if (best < 0 || !float.IsFinite(logits[best]))
            throw new InputException($"the model gives no usable logits: the largest of {logits.Length} is {(best < 0 ? "none" : logits[best])}");
        if (_options.Temperature == 0 || _options.TopK == 1)
            return best;
        var (ids, probabilities) = Candidates(logits);
        return Draw(ids, probabilities, Kept(probabilities), step);
    }

    private void Penalise(Span<float> logits, ReadOnlySpan<int> history)
    {
        if (_options.RepetitionPenalty == 1)
            return;
        var seen = new HashSet<int>();
        foreach (var id in history)
            if (seen.Add(id))
                logits[id] = logits[id] > 0 ? logits[id] / _options.RepetitionPenalty : logits[id] * _options.RepetitionPenalty;
    }

    /// <summary>Ids by falling logit (lower id first among equals), at most top-k of them, and their probabilities.</summary>
    private (int[] Ids, double[] Probabilities) Candidates(ReadOnlySpan<float> logits)
    {
        var ids = new int[logits.Length];
        var keys = new float[logits.Length];
        for (var id = 0; id < ids.Length; id++)
            (ids[id], keys[id]) = (id, -logits[id]);
        Array.Sort(keys, ids, new FallingLogit());
        OrderTies(keys, ids);
        var count = _options.TopK > 0 ? Math.Min(_options.TopK, ids.Length) : ids.Length;
        var probabilities = new double[count];
        for (var i = 0; i < count; i++)
            probabilities[i] = Math.Exp(((double)keys[0] - keys[i]) / _options.Temperature);
        Normalise(probabilities);
        return (ids[..count], probabilities);
    }

    private static void OrderTies(float[] keys, int[] ids)
    {
        for (var start = 0; start < keys.Length;)
        {
            var end = start + 1;
            while (end < keys.Length && keys[end] == keys[start])
                end++;
            if (end - start > 1)
                Array.Sort(ids, start, end - start);
            start = end;
        }
    }

    /// <summary>How many candidates remain after top-p and then min-p.</summary>
    private int Kept(double[] probabilities)
    {
        var count = probabilities.Length;
        if (_options.TopP < 1)
        {
            var sum = 0.0;
            count = 0;
            while (count < probabilities.Length && sum < _options.TopP)
                sum += probabilities[count++];
        }

        while (count > 1 && probabilities[count - 1] < _options.MinP * probabilities[0])
            count--;
        return count;
    }

    private int Draw(int[] ids, double[] probabilities, int count, long step)
    {
        var total = 0.0;
        for (var i = 0; i < count; i++)
            total += probabilities[i];
        var (high, low, _, _) = Philox.Block(_options.Seed, (ulong)step, 0);
        var threshold = (((ulong)high << 21) ^ (low >> 11)) * (1.0 / (1UL << 53)) * total;
        for (var i = 0; i < count; i++)
        {
            threshold -= probabilities[i];
            if (threshold < 0)
                return ids[i];
        }

        return ids[count - 1];
    }

    private static void Normalise(double[] values)
    {
        var sum = 0.0;
        foreach (var value in values)
            sum += value;
        for (var i = 0; i < values.Length; i++)
            values[i] /= sum;
    }

    /// <summary>NaN counts as the least probable.</summary>
    private sealed class FallingLogit : IComparer<float>
    {
        public int Compare(float x, float y) => (float.IsNaN(x) ? float.PositiveInfinity : x).CompareTo(float.IsNaN(y) ? float.PositiveInfinity : y);
    }
}
