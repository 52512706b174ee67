using System.Numerics;
using MergeKit.Core.Models;

namespace MergeKit.Core.Ensembles.Combiners;

/// <summary>A sum of logits with constant coefficients, normalised: softmax(sum_k c_k z_k). A token that is impossible for a member of positive coefficient stays
/// so; one that is impossible under a negative coefficient counts as ln 1e-10 there.</summary>
public abstract class LogitSumCombiner : IJoinableCombiner
{
    private readonly double[] _coefficients;

    /// <summary>Takes the coefficients, which follow from one parameter.</summary>
    /// <exception cref="EnsembleException">The parameter is no finite number.</exception>
    private protected LogitSumCombiner(string parameter, double value, params double[] coefficients) => _coefficients = double.IsFinite(value) ? coefficients
        : throw new EnsembleException(EnsembleError.InvalidParameter, $"{parameter} is {value}: a finite number is wanted");

    /// <inheritdoc/>
    public int Members => _coefficients.Length;

    /// <inheritdoc/>
    public virtual LawForm? Form => SignedSum.Form;

    /// <inheritdoc/>
    public bool Reads(int member) => _coefficients[member] != 0;

    /// <inheritdoc/>
    public void Coefficients(in StepContext step, Span<double> coefficients) => _coefficients.CopyTo(coefficients);

    /// <inheritdoc/>
    public virtual void Combine<T>(in StepContext step, ReadOnlySpan<ReadOnlyMemory<T>> members, Span<T> logProbs)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        RowMath.CheckLengths(members, this, logProbs.Length);
        SignedSum.Law(members, _coefficients, logProbs);
    }
}
