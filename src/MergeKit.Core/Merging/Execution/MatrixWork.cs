using System.Globalization;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Merging.Execution;

/// <summary>Decomposes matrices for the jobs of a run, and shows each in its progress.</summary>
/// <param name="decomposer">Where they are decomposed.</param>
/// <param name="progress">Where they are counted; null: nowhere.</param>
internal sealed class MatrixWork(IDecomposer decomposer, MergeProgress? progress)
{
    /// <summary>Singular values and vectors.</summary>
    public ThinSvd Decompose(string tensor, double[][] rows, ParallelLoop loop)
    {
        var text = Text(tensor, rows.Length, rows.Length == 0 ? 0 : rows[0].Length);
        Show(text, "singular values");
        var result = decomposer.Decompose(rows, loop, step => Show(text, step));
        progress?.AddMatrix();
        return result;
    }

    /// <summary>The solution of S X = T.</summary>
    public void Solve(string tensor, double[][] left, double[][] right, ParallelLoop loop)
    {
        Show(Text(tensor, left.Length, left.Length), "Cholesky");
        NormalEquations.Solve(left, right, loop);
        progress?.AddMatrix();
    }

    private static string Text(string tensor, int rows, int columns) => string.Create(CultureInfo.InvariantCulture, $"{tensor} {rows} x {columns}");

    private void Show(string text, string step) => progress?.ShowMatrix($"{text}, {step}");
}
