using System.Numerics;

namespace MergeKit.Core.Ensembles.Combiners;

/// <summary>A task model moved by the difference between language models of two domains: l_task + beta (l_in - l_out), normalised, members in that
/// order (Dou et al. 2019).</summary>
/// <remarks>What is impossible for the task model or inside the domain stays so; what is impossible outside it counts as ln 1e-10 there.</remarks>
/// <param name="beta">How far to move; any finite number.</param>
public sealed class DomainDifferentialCombiner(double beta) : ICombiner
{
    private readonly double[] _coefficients = double.IsFinite(beta) ? [1, beta, -beta]
        : throw new EnsembleException(EnsembleError.InvalidParameter, $"beta is {beta}: a finite number is wanted");

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
        RowMath.Normalize(logProbs);
    }
}
