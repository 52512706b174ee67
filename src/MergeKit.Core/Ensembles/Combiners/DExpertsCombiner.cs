using System.Numerics;

namespace MergeKit.Core.Ensembles.Combiners;

/// <summary>Steering by a pair of smaller models: softmax(z + alpha (z+ - z-)), members in the order base, expert, antiexpert (DExperts, Liu et al.
/// 2021). Alpha 1 without a nucleus is proxy-tuning (Liu et al. 2024).</summary>
/// <remarks>What is impossible for base or expert stays so; what is impossible for the antiexpert counts as ln 1e-10 there.</remarks>
/// <param name="alpha">How strongly to steer; any finite number.</param>
/// <param name="baseTopP">Where given, only the base's nucleus is allowed: tokens by falling probability of the base while the mass before them is at most this.</param>
public sealed class DExpertsCombiner(double alpha, double? baseTopP = null) : ICombiner
{
    private readonly double[] _coefficients = double.IsFinite(alpha) ? [1, alpha, -alpha]
        : throw new EnsembleException(EnsembleError.InvalidParameter, $"alpha is {alpha}: a finite number is wanted");

    private readonly double? _topP = baseTopP is null or (> 0 and <= 1) ? baseTopP
        : throw new EnsembleException(EnsembleError.InvalidParameter, $"base_top_p is {baseTopP}: above 0 and at most 1 is wanted");

    /// <inheritdoc/>
    public int Members => 3;

    /// <inheritdoc/>
    public bool Reads(int member) => _coefficients[member] != 0;

    /// <inheritdoc/>
    public void Combine<T>(in StepContext step, ReadOnlySpan<ReadOnlyMemory<T>> members, Span<T> logProbs)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        RowMath.CheckLengths(members, this, logProbs.Length);
        SignedSum.Combine(members, _coefficients, SignedSum.DefaultFloor, everyBelow: false, logProbs);
        if (_topP is { } mass)
        {
            var outside = new bool[logProbs.Length];
            Nucleus(members[0].Span, mass, outside);
            for (var i = 0; i < outside.Length; i++)
                logProbs[i] = outside[i] ? T.NegativeInfinity : logProbs[i];
        }

        RowMath.Normalize(logProbs);
    }

    /// <summary>Marks what lies outside the nucleus and counts what is inside.</summary>
    public static int Nucleus<T>(ReadOnlySpan<T> row, double mass, Span<bool> outside)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var total = RowMath.LogSumExp(row);

        // All that lies below (1 - mass) / n in n places cannot be needed to exceed the mass.
        var least = total + Math.Log(Math.Max(0, 1 - mass) / row.Length * 0.999);
        var candidates = new List<(double Logit, int Id)>();
        for (var id = 0; id < row.Length; id++)
            if (double.CreateChecked(row[id]) is var logit && logit >= least && !double.IsNegativeInfinity(logit))
                candidates.Add((logit, id));
        candidates.Sort((x, y) => x.Logit != y.Logit ? y.Logit.CompareTo(x.Logit) : x.Id.CompareTo(y.Id));
        outside.Fill(true);
        var (kept, before) = (0, 0.0);
        foreach (var (logit, id) in candidates)
        {
            if (before > mass)
                break;
            (outside[id], kept, before) = (false, kept + 1, before + Math.Exp(logit - total));
        }

        return kept;
    }
}
