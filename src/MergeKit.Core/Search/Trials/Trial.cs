using MergeKit.Core.Search.Tuning;

namespace MergeKit.Core.Search.Trials;

/// <summary>One candidate that was scored.</summary>
/// <param name="Index">Counted from 0 in the order of scoring.</param>
/// <param name="Role">What it was scored for: <c>candidate</c>, or <c>reference</c>, <c>line</c> and <c>scale</c> (of task arithmetic), which cannot win.</param>
/// <param name="Label">What it is, in words.</param>
/// <param name="Values">The values of the search's variables; empty where it has none.</param>
/// <param name="Yaml">Its recipe.</param>
/// <param name="Scores">What it scored.</param>
/// <param name="Failure">Why it could not be scored; null where it could.</param>
public sealed record Trial(int Index, string Role, string Label, IReadOnlyList<double> Values, string Yaml, TuningScores Scores, string? Failure)
{
    /// <summary>The role of those that can win.</summary>
    public const string Candidate = "candidate";

    /// <summary>The role of the scales of uniform task arithmetic.</summary>
    public const string Scale = "scale";

    /// <summary>The objective, the lower the better.</summary>
    public double Objective => Scores.Objective;

    /// <summary>Whether it can win: scored on all items, and finite.</summary>
    public bool CanWin => Role == Candidate && Failure is null && Scores.Complete && double.IsFinite(Objective);
}
