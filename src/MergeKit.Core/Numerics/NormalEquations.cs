using System.Numerics.Tensors;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Numerics;

/// <summary>Solves S X = T for a symmetric positive definite S in double precision, by Cholesky's decomposition S = L L^T. Where S is singular
/// (inputs that never occur), a multiple of the identity is added: 10^-8 of the mean of its diagonal, ten times more until it can be decomposed.</summary>
public static class NormalEquations
{
    private const double LeastRidge = 1e-8, MostRidge = 1e-3;
    private const int Sequential = 64;

    /// <summary>Solves in place.</summary>
    /// <param name="left">S, by rows; overwritten.</param>
    /// <param name="right">T, by rows; becomes X.</param>
    /// <param name="loop">Where the work is done.</param>
    /// <exception cref="InputException">S is not positive semidefinite, or not finite.</exception>
    public static void Solve(double[][] left, double[][] right, ParallelLoop loop)
    {
        var original = left.Select(row => (double[])row.Clone()).ToArray();
        var mean = Enumerable.Range(0, left.Length).Sum(i => left[i][i]) / Math.Max(1, left.Length);
        for (var ridge = LeastRidge; !Decompose(left, loop); ridge *= 10)
        {
            if (ridge > 1.1 * MostRidge || !double.IsFinite(mean))
                throw new InputException("the statistics' input products are no products of inputs: not positive semidefinite, or not finite");
            for (var i = 0; i < left.Length; i++)
            {
                original[i].CopyTo(left[i], 0);
                left[i][i] += ridge * Math.Max(mean, double.Epsilon * 1e20);
            }
        }

        Substitute(left, right, loop);
    }

    /// <summary>L in the lower triangle; false where a pivot is not positive.</summary>
    private static bool Decompose(double[][] matrix, ParallelLoop loop)
    {
        var pivots = Enumerable.Range(0, matrix.Length).Select(i => matrix[i][i]).ToArray();
        for (var j = 0; j < matrix.Length; j++)
        {
            var (row, column) = (matrix[j], j);
            var pivot = row[j] - TensorPrimitives.Dot<double>(row.AsSpan(0, j), row.AsSpan(0, j));
            if (!(pivot > 1e-13 * pivots[j]) || !double.IsFinite(pivot))
                return false;
            row[j] = Math.Sqrt(pivot);
            Run(loop, matrix.Length - j - 1, i =>
            {
                var other = matrix[column + 1 + i];
                other[column] = (other[column] - TensorPrimitives.Dot<double>(other.AsSpan(0, column), row.AsSpan(0, column))) / row[column];
            });
        }

        return true;
    }

    private static void Substitute(double[][] l, double[][] x, ParallelLoop loop)
    {
        const int block = 256;
        var width = x.Length == 0 ? 0 : x[0].Length;
        loop((width + block - 1) / block, part =>
        {
            var (first, count) = (part * block, Math.Min(block, width - part * block));
            for (var i = 0; i < l.Length; i++)
            {
                var row = x[i].AsSpan(first, count);
                for (var k = 0; k < i; k++)
                    TensorPrimitives.MultiplyAdd(x[k].AsSpan(first, count), -l[i][k], row, row);
                TensorPrimitives.Divide(row, l[i][i], row);
            }

            for (var i = l.Length - 1; i >= 0; i--)
            {
                var row = x[i].AsSpan(first, count);
                for (var k = i + 1; k < l.Length; k++)
                    TensorPrimitives.MultiplyAdd(x[k].AsSpan(first, count), -l[k][i], row, row);
                TensorPrimitives.Divide(row, l[i][i], row);
            }
        });
    }

    private static void Run(ParallelLoop loop, int count, Action<int> body)
    {
        if (count >= Sequential)
            loop(count, body);
        else
            for (var i = 0; i < count; i++)
                body(i);
    }
}
