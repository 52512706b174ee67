using System.Numerics;
using MergeKit.Core.Models;

namespace MergeKit.Core.Ensembles.Combiners;

/// <summary>Steering by a pair of smaller models: softmax(z + alpha (z+ - z-)), members in the order base, expert, antiexpert (DExperts, Liu et al.
/// 2021). Alpha 1 without a nucleus is proxy-tuning (Liu et al. 2024).</summary>
/// <param name="alpha">How strongly to steer; any finite number.</param>
/// <param name="baseTopP">Where given, only the base's nucleus is allowed: tokens by falling probability of the base while the mass before them is at most this.</param>
public sealed class DExpertsCombiner(double alpha, double? baseTopP = null) : LogitSumCombiner(nameof(alpha), alpha, 1, alpha, -alpha)
{
    private readonly double? _topP = baseTopP is null or (> 0 and <= 1) ? baseTopP
        : throw new EnsembleException(EnsembleError.InvalidParameter, $"base_top_p is {baseTopP}: above 0 and at most 1 is wanted");

    /// <inheritdoc/>
    public override LawForm? Form => _topP is null ? base.Form : null;

    /// <inheritdoc/>
    public override void Combine<T>(in StepContext step, ReadOnlySpan<ReadOnlyMemory<T>> members, Span<T> logProbs)
    {
        base.Combine(step, members, logProbs);
        if (_topP is not { } mass)
            return;
        Nucleus<T>.Of(members[0].Span, mass).Restrict(members[0].Span, logProbs);
        RowMath.Normalize(logProbs);
    }
}
