using MergeKit.Core.Models;
using MergeKit.Inference.Backends;

namespace MergeKit.Inference.Runtime;

/// <summary>Collects the scores of one continuation over several passes. Called while the engine is entered.</summary>
internal sealed class ScoreBuilder(Engine engine, ReadOnlyMemory<int> targets)
{
    /// <summary>The scores; complete when every target's row has been seen.</summary>
    public TokenScores Result { get; } = new(new float[targets.Length], new bool[targets.Length]);

    /// <summary>Scores the targets that a pass predicts. Its row 0 predicts target <paramref name="start"/>, which may lie before the first.</summary>
    public void Take(IBuffer output, int start, int rows)
    {
        var (first, end) = (Math.Max(0, start), Math.Min(targets.Length, start + rows));
        if (end <= first)
            return;
        engine.Backend.Score(
            engine.Weights.Head, output, [.. Enumerable.Range(first - start, end - first)], targets.Span[first..end],
            Result.LogProbs.AsSpan(first..end), Result.IsArgMax.AsSpan(first..end));
    }
}
