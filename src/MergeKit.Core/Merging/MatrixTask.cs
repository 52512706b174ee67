using MergeKit.Core.Numerics;

namespace MergeKit.Core.Merging;

/// <summary>A matrix that a method decomposes.</summary>
/// <param name="IsCholesky">Cholesky's decomposition of a square matrix and the solution for so many columns, on the CPU; else singular values.</param>
/// <param name="Rows">The shorter side, or that of the square.</param>
/// <param name="Columns">The longer side, or the number of right-hand sides.</param>
public readonly record struct MatrixTask(bool IsCholesky, long Rows, long Columns)
{
    private const double CholeskyPerSecond = 2e9;

    /// <summary>A singular value decomposition.</summary>
    public static MatrixTask SingularValues(long rows, long columns) => new(false, Math.Min(rows, columns), Math.Max(rows, columns));

    /// <summary>The solution of S X = T.</summary>
    /// <param name="side">Rows of S.</param>
    /// <param name="columns">Columns of X.</param>
    public static MatrixTask Cholesky(long side, long columns) => new(true, side, columns);

    /// <summary>What it costs, about.</summary>
    public DecompositionCost Cost(IDecomposer decomposer, int threads)
    {
        if (!IsCholesky)
            return decomposer.Cost(Rows, Columns, threads);
        var operations = (Rows / 3.0 + 2.0 * Columns) * Rows * Rows;
        return new DecompositionCost(operations, operations / (CholeskyPerSecond * threads));
    }
}
