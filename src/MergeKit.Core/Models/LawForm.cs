namespace MergeKit.Core.Models;

/// <summary>How several laws over the same ids become one; c_k is a coefficient, z_k a member's logits, l_k their log-softmax.</summary>
public enum LawRule
{
    /// <summary>softmax(sum_k c_k z_k).</summary>
    LogitSum,

    /// <summary>ln sum_k e^(c_k + l_k): a mixture of probabilities, c_k the logarithm of a weight; minus infinity leaves a member out.</summary>
    Mixture,
}

/// <summary>A rule in the form in which whoever computes the members' rows can also combine them, one row at a time, without giving any out.</summary>
/// <param name="Rule">What becomes of the rows.</param>
public sealed record LawForm(LawRule Rule)
{
    /// <summary>Of a <see cref="LawRule.LogitSum"/>: under a negative coefficient log-probabilities l_k below this count as this. Minus infinity: none do.</summary>
    public double NegativeFloor { get; init; } = double.NegativeInfinity;

    /// <summary>Of a <see cref="LawRule.LogitSum"/>: only ids are possible whose logit in the first row is at least that row's largest one plus this.
    /// Minus infinity: all are.</summary>
    public double Plausible { get; init; } = double.NegativeInfinity;
}

/// <summary>Laws of one row per member and place, to be combined.</summary>
/// <param name="Form">The rule.</param>
/// <param name="Vocabulary">Ids of the combined law; what members have beyond them (padding) is left out, also of l_k.</param>
/// <param name="Coefficients">c, [rows, members], row-major.</param>
public sealed record LawCombination(LawForm Form, int Vocabulary, ReadOnlyMemory<float> Coefficients);

/// <summary>Rows that can be combined with other models' rows where they are computed.</summary>
public interface IJoinableRows : ILogitRows
{
    /// <summary>ln p of one target per row under the combined law, and whether it was the most probable id (the lowest of equal ones).</summary>
    /// <param name="members">One per member, all of as many rows; this is the first of them.</param>
    /// <param name="first">The first row; there are as many as targets.</param>
    /// <param name="combination">The rule, with coefficients for each of these rows.</param>
    /// <param name="targets">One id per row.</param>
    /// <param name="logProbs">Receives ln p.</param>
    /// <param name="isArgMax">Receives whether.</param>
    /// <returns>False where these members cannot be combined like this.</returns>
    bool TryScore(
        IReadOnlyList<ILogitRows> members, int first, LawCombination combination, ReadOnlySpan<int> targets, Span<float> logProbs, Span<bool> isArgMax);

    /// <summary>The combined laws of rows from <paramref name="first"/> on, [rows, vocabulary], as many as <paramref name="logProbs"/> has room for.</summary>
    /// <returns>False where these members cannot be combined like this.</returns>
    bool TryRead(IReadOnlyList<ILogitRows> members, int first, LawCombination combination, Span<float> logProbs);
}
