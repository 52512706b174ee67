using System.Numerics;

namespace MergeKit.Core.Ensembles.Combiners;

/// <summary>One model with and without a context: (1 + alpha) z(with) - alpha z(without), normalised, members in that order (Shi et al. 2023).</summary>
/// <remarks>What is impossible with the context stays so; what is impossible without it counts as ln 1e-10 there.</remarks>
/// <param name="alpha">How much more the context is to count; 0 changes nothing.</param>
public sealed class ContextAwareCombiner(double alpha) : ICombiner
{
    private readonly double[] _coefficients = double.IsFinite(alpha) ? [1 + alpha, -alpha]
        : throw new EnsembleException(EnsembleError.InvalidParameter, $"alpha is {alpha}: a finite number is wanted");

    /// <inheritdoc/>
    public int Members => 2;

    /// <inheritdoc/>
    public bool Reads(int member) => _coefficients[member] != 0;

    /// <inheritdoc/>
    public void Combine<T>(in StepContext step, ReadOnlySpan<ReadOnlyMemory<T>> members, Span<T> logProbs)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        RowMath.CheckLengths(members, this, logProbs.Length);
        SignedSum.Combine(members, _coefficients, SignedSum.DefaultFloor, everyBelow: false, logProbs);
        RowMath.Normalize(logProbs);
    }
}
