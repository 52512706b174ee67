using System.Numerics;
using MergeKit.Core.Models;

namespace MergeKit.Core.Ensembles.Combiners;

/// <summary>A product of powers: sum_k lambda_k l_k, normalised; lambdas as given, of any sign (Klakow 1998; Heafield et al. 2016).</summary>
/// <remarks>An impossible token is vetoed by any member of positive lambda. Under a negative lambda log-probabilities are floored.</remarks>
public sealed class LogLinearCombiner : IJoinableCombiner
{
    private readonly double[] _lambdas;
    private readonly double _floor;

    /// <summary>A log-linear combination.</summary>
    /// <param name="lambdas">One per member; a member of lambda 0 is not run.</param>
    /// <param name="negativeFloor">The least log-probability under a negative lambda; null: ln 1e-10.</param>
    /// <exception cref="EnsembleException">A lambda is not finite, or all are zero.</exception>
    public LogLinearCombiner(IReadOnlyList<double> lambdas, double? negativeFloor = null)
    {
        (_lambdas, _floor) = ([.. lambdas], negativeFloor ?? SignedSum.DefaultFloor);
        if (Array.Find(_lambdas, lambda => !double.IsFinite(lambda)) is var wrong and not 0)
            throw new EnsembleException(EnsembleError.InvalidParameter, $"a lambda is {wrong}: a finite number is wanted");
        if (Array.TrueForAll(_lambdas, lambda => lambda == 0))
            throw new EnsembleException(EnsembleError.ZeroWeightSum, "every lambda is zero: no member would be run");
    }

    /// <inheritdoc/>
    public int Members => _lambdas.Length;

    /// <inheritdoc/>
    public bool Reads(int member) => _lambdas[member] != 0;

    /// <inheritdoc/>
    public LawForm Form => Array.Exists(_lambdas, lambda => lambda < 0) ? SignedSum.Form with { NegativeFloor = _floor } : SignedSum.Form;

    /// <inheritdoc/>
    public void Coefficients(in StepContext step, Span<double> coefficients) => _lambdas.CopyTo(coefficients);

    /// <inheritdoc/>
    public void Combine<T>(in StepContext step, ReadOnlySpan<ReadOnlyMemory<T>> members, Span<T> logProbs)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        RowMath.CheckLengths(members, this, logProbs.Length);
        SignedSum.Combine(members, _lambdas, _floor, everyBelow: true, logProbs);
        RowMath.Normalize(logProbs);
    }
}
