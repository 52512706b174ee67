using MergeKit.Core.Diagnostics;
using MergeKit.Core.Models;

namespace MergeKit.Core.Evaluation.Requests;

/// <summary>Scores requests in batches. Requests that feed the same tokens and differ only in the last one, such as one-letter choices, share a forward pass.</summary>
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
        foreach (var group in Enumerable.Range(0, requests.Count).GroupBy(i => requests[i], SameInput.Instance).Select(group => group.ToArray()))
        {
            if (group.Length == 1)
            {
                alone.Add(group[0]);
                continue;
            }

            Shared(requests, group, sums);
            Report(done += group.Length, requests.Count);
        }

        foreach (var batch in alone.Chunk(Math.Max(1, options.BatchSize)))
        {
            cancellation.ThrowIfCancellationRequested();
            var scores = model.Model.Score(batch.Select(i => requests[i].ToScoreRequest()).ToArray());
            for (var i = 0; i < batch.Length; i++)
                sums[batch[i]] = Checked(scores[i].Sum);
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

    private void Shared(IReadOnlyList<LoglikelihoodRequest> requests, int[] group, double[] sums)
    {
        cancellation.ThrowIfCancellationRequested();
        var first = requests[group[0]];
        using var session = model.Model.Open();
        session.Append(first.Input.AsSpan(0, first.FirstScoredPosition + 1));
        var rest = first.Input.AsSpan(first.FirstScoredPosition + 1);
        var prefix = rest.IsEmpty ? 0 : session.Score(rest).Sum;
        var logits = new float[model.Model.VocabularySize];
        session.NextLogits(logits);
        foreach (var i in group)
            sums[i] = Checked(prefix + LogProbability(logits, requests[i].ContinuationTokens[^1]));
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

    private sealed class SameInput : IEqualityComparer<LoglikelihoodRequest>
    {
        public static SameInput Instance { get; } = new();

        public bool Equals(LoglikelihoodRequest? x, LoglikelihoodRequest? y) =>
            x!.FirstScoredPosition == y!.FirstScoredPosition && x.Input.AsSpan().SequenceEqual(y.Input);

        public int GetHashCode(LoglikelihoodRequest request)
        {
            var hash = default(HashCode);
            hash.AddBytes(System.Runtime.InteropServices.MemoryMarshal.AsBytes(request.Input.AsSpan()));
            return hash.ToHashCode();
        }
    }
}
