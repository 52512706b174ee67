using System.Numerics;
using System.Numerics.Tensors;
using MathNet.Numerics.LinearAlgebra;

namespace MergeKit.Core.Moe.Routers;

/// <summary>The router that fits labels best in squares: W = Y^T H (H^T H + a I)^-1, with Y the labels as unit vectors, H the states, [tokens, width].</summary>
public static class RidgeRouter
{
    private const int Block = 1024;

    /// <summary>Solves for the rows. Where there are fewer tokens than columns the equal form Y^T (H H^T + a I)^-1 H is used.</summary>
    /// <param name="states">[tokens, width].</param>
    /// <param name="width">Columns.</param>
    /// <param name="targets">[experts][tokens].</param>
    /// <param name="alpha">The ridge, above 0.</param>
    /// <returns>[experts][width].</returns>
    public static double[][] Solve<T>(ReadOnlySpan<T> states, int width, double[][] targets, double alpha) where T : unmanaged, IFloatingPointIeee754<T>
    {
        var tokens = states.Length / width;
        return tokens >= width ? Primal(Transposed(states, tokens, width), tokens, targets, alpha) : Dual(states, width, tokens, targets, alpha);
    }

    /// <summary>Labels as unit vectors, [experts][tokens]. An expert that no token belongs to has -1/2 everywhere, so that none is sent there.</summary>
    public static double[][] Targets(IReadOnlyList<int> labels, int experts)
    {
        var targets = Enumerable.Range(0, experts).Select(_ => new double[labels.Count]).ToArray();
        for (var i = 0; i < labels.Count; i++)
            targets[labels[i]][i] = 1;
        foreach (var unused in Enumerable.Range(0, experts).Except(labels))
            Array.Fill(targets[unused], -0.5);
        return targets;
    }

    private static double[][] Primal<T>(T[] columns, int tokens, double[][] targets, double alpha) where T : unmanaged, IFloatingPointIeee754<T>
    {
        var width = columns.Length / tokens;
        var gram = Gram(columns, width, tokens, alpha);
        var right = Matrix<double>.Build.Dense(width, targets.Length, (i, e) => Dot(columns.AsSpan(i * tokens, tokens), targets[e]));
        return gram.Cholesky().Solve(right).ToColumnArrays();
    }

    private static double[][] Dual<T>(ReadOnlySpan<T> states, int width, int tokens, double[][] targets, double alpha) where T : unmanaged, IFloatingPointIeee754<T>
    {
        var rows = states.ToArray();
        var solution = Gram(rows, tokens, width, alpha).Cholesky().Solve(Matrix<double>.Build.DenseOfColumnArrays(targets));
        return [.. solution.ToColumnArrays().Select(weights =>
        {
            var row = new double[width];
            for (var t = 0; t < tokens; t++)
                for (var i = 0; i < width; i++)
                    row[i] += weights[t] * double.CreateChecked(rows[(t * width) + i]);
            return row;
        })];
    }

    /// <summary>V V^T + a I for the rows of V.</summary>
    private static Matrix<double> Gram<T>(T[] vectors, int count, int length, double alpha) where T : unmanaged, IFloatingPointIeee754<T>
    {
        var gram = new double[count * count];
        Parallel.For(0, count, i =>
        {
            for (var j = 0; j <= i; j++)
            {
                var value = Dot<T>(vectors.AsSpan(i * length, length), vectors.AsSpan(j * length, length)) + (i == j ? alpha : 0);
                (gram[(i * count) + j], gram[(j * count) + i]) = (value, value);
            }
        });
        return Matrix<double>.Build.Dense(count, count, gram);
    }

    /// <summary>Blocks are summed in T, their sums in double precision.</summary>
    private static double Dot<T>(ReadOnlySpan<T> a, ReadOnlySpan<T> b) where T : unmanaged, IFloatingPointIeee754<T>
    {
        var sum = 0.0;
        for (var at = 0; at < a.Length; at += Block)
        {
            var length = Math.Min(Block, a.Length - at);
            sum += double.CreateChecked(TensorPrimitives.Dot(a.Slice(at, length), b.Slice(at, length)));
        }

        return sum;
    }

    private static double Dot<T>(ReadOnlySpan<T> a, double[] b) where T : unmanaged, IFloatingPointIeee754<T>
    {
        var sum = 0.0;
        for (var i = 0; i < a.Length; i++)
            sum += b[i] == 0 ? 0 : b[i] * double.CreateChecked(a[i]);
        return sum;
    }

    private static T[] Transposed<T>(ReadOnlySpan<T> states, int tokens, int width)
    {
        var columns = new T[states.Length];
        for (var t = 0; t < tokens; t++)
            for (var i = 0; i < width; i++)
                columns[(i * tokens) + t] = states[(t * width) + i];
        return columns;
    }
}
