namespace MergeKit.Core.Search.Tuning;

/// <summary>What scoring a candidate gave.</summary>
/// <param name="Objective">The weighted mean of the losses, the lower the better; infinite where a number is not finite.</param>
/// <param name="Losses">The loss per tuning set, control sets included; an estimate where the candidate was given up.</param>
/// <param name="Numerators">Per set the items' numerators in the order of scoring, as far as scored.</param>
/// <param name="Complete">Whether all items were scored.</param>
public sealed record TuningScores(double Objective, IReadOnlyList<double> Losses, IReadOnlyList<double[]> Numerators, bool Complete)
{
    /// <summary>Items scored.</summary>
    public int Items => Numerators.Sum(numerators => numerators.Length);
}
