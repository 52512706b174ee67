using System.Numerics.Tensors;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Numerics;
using MergeKit.Inference.Backends;

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

    /// <summary>Whether the draw is that of the largest logit as the model gives it.</summary>
    public bool IsArgMax => _options is { RepetitionPenalty: 1 } and ({ Temperature: 0 } or { TopK: 1 });

    /// <summary>The draw as a rule for whoever has the logits; null where it depends on the text, or is no draw.</summary>
    internal DrawRule? Rule(long step) => _options is { RepetitionPenalty: 1, Temperature: > 0, TopK: not 1 }
        ? new DrawRule(_options.Temperature, _options.TopK, _options.TopP, _options.MinP, Uniform(step)) : null;

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
        var candidates = Candidates(logits, logits[best]);
        var kept = candidates.GetRange(0, Kept(candidates));
        kept.Sort((x, y) => x.Id.CompareTo(y.Id));
        return Draw(kept, Uniform(step));
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

    /// <summary>Ids by falling logit (lower id first among equals) with their probabilities: at most top-k of them, and without those that
    /// top-p and min-p cannot keep. In the order of ids where nothing limits them.</summary>
    private List<Candidate> Candidates(ReadOnlySpan<float> logits, float max)
    {
        var limited = _options.TopK > 0 && _options.TopK < logits.Length;
        var floor = limited ? KthLargest(logits, _options.TopK) : float.NegativeInfinity;
        var (candidates, total) = (new List<Candidate>(), 0.0);
        for (var id = 0; id < logits.Length; id++)
        {
            if (logits[id] < floor)
                continue;
            candidates.Add(new Candidate(id, logits[id], Math.Exp(((double)logits[id] - max) / _options.Temperature)));
            total += candidates[^1].Weight;
        }

        // What lies below (1 - p) / n in each of n places cannot be needed to reach p.
        var least = Math.Max(_options.MinP, (1 - _options.TopP) * total / candidates.Count * 0.999);
        if (!limited && least == 0)
            return Normalised(candidates, total);
        candidates.RemoveAll(candidate => !limited && candidate.Weight < least);
        candidates.Sort((x, y) => x.Logit != y.Logit ? y.Logit.CompareTo(x.Logit) : x.Id.CompareTo(y.Id));
        if (limited && candidates.Count > _options.TopK)
        {
            candidates.RemoveRange(_options.TopK, candidates.Count - _options.TopK);
            total = candidates.Sum(candidate => candidate.Weight);
        }

        return Normalised(candidates, total);
    }

    private static List<Candidate> Normalised(List<Candidate> candidates, double total)
    {
        for (var i = 0; i < candidates.Count; i++)
            candidates[i] = candidates[i] with { Weight = candidates[i].Weight / total };
        return candidates;
    }

    /// <summary>The k-th largest value, by a heap of the k largest seen.</summary>
    private static float KthLargest(ReadOnlySpan<float> values, int k)
    {
        var heap = new PriorityQueue<float, float>(k);
        foreach (var value in values)
            if (heap.Count < k)
                heap.Enqueue(value, value);
            else if (value > heap.Peek())
                heap.EnqueueDequeue(value, value);
        return heap.Peek();
    }

    /// <summary>How many candidates remain after top-p and then min-p.</summary>
    private int Kept(List<Candidate> candidates)
    {
        var count = candidates.Count;
        if (_options.TopP < 1)
        {
            var sum = 0.0;
            count = 0;
            while (count < candidates.Count && sum < _options.TopP)
                sum += candidates[count++].Weight;
        }

        while (_options.MinP > 0 && count > 1 && candidates[count - 1].Weight < _options.MinP * candidates[0].Weight)
            count--;
        return count;
    }

    private static int Draw(List<Candidate> kept, double uniform)
    {
        var threshold = uniform * kept.Sum(candidate => candidate.Weight);
        var last = 0;
        for (var i = 0; i < kept.Count; i++)
        {
            if (kept[i].Weight > 0)
                last = i;
            threshold -= kept[i].Weight;
            if (threshold < 0)
                break;
        }

        return kept[last].Id;
    }

    private double Uniform(long step)
    {
        var (high, low, _, _) = Philox.Block(_options.Seed, (ulong)step, 0);
        return (((ulong)high << 21) ^ (low >> 11)) * (1.0 / (1UL << 53));
    }

    private readonly record struct Candidate(int Id, float Logit, double Weight);
}
