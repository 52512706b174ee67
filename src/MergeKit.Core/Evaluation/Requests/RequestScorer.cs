using System.Runtime.InteropServices;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Models;

namespace MergeKit.Core.Evaluation.Requests;

/// <summary>Scores requests in batches. Requests after one context, such as the choices of an item, share its forward pass where that saves work;
/// one answers all choices of a single token.</summary>
internal sealed class RequestScorer(EvaluatedModel model, string dataSet, EvaluationOptions options, CancellationToken cancellation)
{
    /// <summary>The summed log-probability of each request, in their order. Errors: an id beyond the vocabulary, a NaN.</summary>
    public double[] Sums(IReadOnlyList<LoglikelihoodRequest> requests)
    {
        foreach (var request in requests)
            CheckIds(request);
        var sums = new double[requests.Count];
        var alone = new List<int>();
        var done = 0;
        foreach (var group in Enumerable.Range(0, requests.Count).GroupBy(i => requests[i], SameContext.Instance).Select(group => group.ToArray()))
        {
            if (!SharingSavesWork(requests, group))
            {
                alone.AddRange(group);
                continue;
            }

            Shared(requests, group, sums);
            Report(done += group.Length, requests.Count);
        }

        foreach (var batch in alone.Chunk(Math.Max(1, options.BatchSize)))
        {
            cancellation.ThrowIfCancellationRequested();
            var scores = model.Model.LogProbs(batch.Select(i => requests[i].ToScoreRequest()).ToArray());
            for (var i = 0; i < batch.Length; i++)
                sums[batch[i]] = Checked(scores[i].Sum(value => (double)value));
            Report(done += batch.Length, requests.Count);
        }

        return sums;
    }

    /// <summary>ln p of one token given the logits of its position.</summary>
    public static double LogProbability(ReadOnlySpan<float> logits, int id)
    {
        var largest = float.NegativeInfinity;
        foreach (var logit in logits)
            largest = logit > largest || float.IsNaN(logit) ? logit : largest;
        var sum = 0.0;
        foreach (var logit in logits)
            sum += Math.Exp((double)logit - largest);
        return (double)logits[id] - largest - Math.Log(sum);
    }

    private static bool SharingSavesWork(IReadOnlyList<LoglikelihoodRequest> requests, int[] group) =>
        (group.Length - 1L) * requests[group[0]].ScoredContext.Length > group.Sum(i => (long)requests[i].Scored.Length - 1);

    private void Shared(IReadOnlyList<LoglikelihoodRequest> requests, int[] group, double[] sums)
    {
        cancellation.ThrowIfCancellationRequested();
        var context = requests[group[0]].ScoredContext;
        using var session = model.Model.Open();
        session.Append(context);
        var single = group.Where(i => requests[i].Scored.Length == 1).ToArray();
        if (single.Length > 0)
        {
            var logits = new float[model.Model.VocabularySize];
            session.NextLogits(logits);
            foreach (var i in single)
                sums[i] = Checked(LogProbability(logits, requests[i].Scored[0]));
        }

        foreach (var i in group.Except(single))
        {
            session.Truncate(context.Length);
            sums[i] = Checked(session.LogProbs(requests[i].Scored).Sum(value => (double)value));
        }
    }

    private void CheckIds(LoglikelihoodRequest request)
    {
        foreach (var id in request.Input.Append(request.ContinuationTokens[^1]))
            if (id < 0 || id >= model.Model.VocabularySize)
                throw new InputException($"{model.Name}: the tokenizer gives the id {id}, but the model has {model.Model.VocabularySize} ids");
    }

    private double Checked(double sum) => !double.IsNaN(sum) ? sum
        : throw new InputException($"{model.Name} on {dataSet}: the model gives NaN as the probability of a token");

    private void Report(int done, int total) => options.Progress?.Invoke(new EvaluationProgress(model.Name, dataSet, done, total));

    private sealed class SameContext : IEqualityComparer<LoglikelihoodRequest>
    {
        public static SameContext Instance { get; } = new();

        public bool Equals(LoglikelihoodRequest? x, LoglikelihoodRequest? y) => x!.ScoredContext.SequenceEqual(y!.ScoredContext);

        public int GetHashCode(LoglikelihoodRequest request)
        {
            var hash = default(HashCode);
            hash.AddBytes(MemoryMarshal.AsBytes(request.ScoredContext));
            return hash.ToHashCode();
        }
    }
}
