using MergeKit.Core.Models;

namespace MergeKit.Core.Workflows.Learning;

/// <summary>Answers to learn from, as tokens. Positions are the answers' tokens, request after request; prompts are not learned from.</summary>
public sealed class AnswerSet
{
    /// <summary>Takes requests and the example that each belongs to, counted from 0 and rising.</summary>
    public AnswerSet(IReadOnlyList<ScoreRequest> requests, IReadOnlyList<int> examples)
    {
        (Requests, Examples) = (requests, examples.Count == 0 ? 0 : examples[^1] + 1);
        Gold = [.. requests.SelectMany(request => request.Continuation.ToArray())];
        Clusters = [.. requests.Zip(examples).SelectMany(pair => Enumerable.Repeat(pair.Second, pair.First.Continuation.Length))];
    }

    /// <summary>What the members score.</summary>
    public IReadOnlyList<ScoreRequest> Requests { get; }

    /// <summary>Number of examples.</summary>
    public int Examples { get; }

    /// <summary>The gold token of every position.</summary>
    public int[] Gold { get; }

    /// <summary>The example of every position.</summary>
    public int[] Clusters { get; }

    /// <summary>ln p of every gold token under a model.</summary>
    public double[] LogProbs(ILanguageModel model) =>
        [.. model.LogProbs(Requests).SelectMany(row => row.Select(value => (double)value))];
}
