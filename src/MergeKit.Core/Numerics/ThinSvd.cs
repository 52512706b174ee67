using System.Numerics.Tensors;

namespace MergeKit.Core.Numerics;

/// <summary>Runs a body for 0 .. count-1 in any order, perhaps on several threads; returns when all are done.</summary>
public delegate void ParallelLoop(int count, Action<int> body);

/// <summary>Thin singular value decomposition M = sum_k s_k u_k v_k^T in double precision: M = [L 0] Q, then one-sided Jacobi rotations of the columns
/// of L (Drmac and Veselic 2008, "New fast and accurate Jacobi SVD algorithm", parts I and II; <see cref="JacobiRotations"/>). Accurate also for small
/// singular values. The bits do not depend on the number of threads.</summary>
public sealed class ThinSvd
{
    private const int UsualSweeps = 8, ComposedRows = 8, ComposedColumns = 512;

    private ThinSvd(double[] values, double[][] left, double[][] right) => (Values, Left, Right) = (values, left, right);

    /// <summary>The singular values that are not zero (above s_1 max(rows, columns) 2^-52), descending.</summary>
    public double[] Values { get; }

    /// <summary>u_k, one per value, as long as M has rows.</summary>
    public double[][] Left { get; }

    /// <summary>v_k, one per value, as long as M has columns.</summary>
    public double[][] Right { get; }

    /// <summary>Decomposes a matrix with no more rows than columns.</summary>
    /// <param name="rows">Its rows; overwritten.</param>
    /// <param name="loop">Where the work is done.</param>
    /// <param name="step">Told what goes on.</param>
    /// <exception cref="ArgumentException">More rows than columns.</exception>
    public static ThinSvd Of(double[][] rows, ParallelLoop loop, Action<string>? step = null)
    {
        var length = CheckSides(rows);
        step?.Invoke("triangular factor");
        var norms = rows.Select(row => TensorPrimitives.Dot<double>(row, row)).ToArray();
        var order = Enumerable.Range(0, rows.Length).OrderByDescending(i => norms[i]).ToArray();
        var factored = HouseholderLq.Of([.. order.Select(i => rows[i])], loop);
        var (turned, rotations) = JacobiRotations.Of(factored.Transposed(), length, loop, step);
        var (kept, values) = NonZero([.. turned.Select(row => TensorPrimitives.Norm<double>(row))], length);
        step?.Invoke("vectors");
        var left = new double[kept.Length][];
        loop(kept.Length, k =>
        {
            left[k] = new double[rows.Length];
            for (var i = 0; i < order.Length; i++)
                left[k][order[i]] = turned[kept[k]][i] / values[k];
        });
        return new ThinSvd(values, left, factored.Expand([.. kept.Select(k => rotations[k])], loop));
    }

    /// <summary>Triplets that were found elsewhere, in any order; those of singular values that count as zero are left out.</summary>
    /// <param name="values">s_k.</param>
    /// <param name="left">u_k.</param>
    /// <param name="right">v_k, no shorter than the u_k.</param>
    public static ThinSvd FromTriplets(double[] values, double[][] left, double[][] right)
    {
        var (kept, found) = NonZero(values, right.Length == 0 ? 0 : right[0].Length);
        return new ThinSvd(found, [.. kept.Select(k => left[k])], [.. kept.Select(k => right[k])]);
    }

    /// <summary>Floating-point operations of a decomposition, about: the factor and its expansion, and eight sweeps of 18 n a pair.</summary>
    public static double Operations(double rows, double columns) =>
        2 * (2 * columns - 2 * rows / 3) * rows * rows + UsualSweeps * 9.0 * rows * rows * rows;

    /// <summary>Length of the rows.</summary>
    /// <exception cref="ArgumentException">There are more rows than columns.</exception>
    public static int CheckSides(double[][] rows)
    {
        var length = rows.Length == 0 ? 0 : rows[0].Length;
        return rows.Length <= length ? length : throw new ArgumentException($"{rows.Length} rows of {length}: no more rows than columns are wanted", nameof(rows));
    }

    /// <summary>The orthogonal polar factor sum_k u_k v_k^T, row by row, times a number.</summary>
    public void Polar(double factor, int rows, ParallelLoop loop, Action<int, double[]> take) =>
        Compose(Left, [.. Values.Select(_ => factor)], Right, rows, loop, take);

    /// <summary>sum_k s_k a_k b_k^T, row by row.</summary>
    /// <param name="left">The a_k.</param>
    /// <param name="values">The s_k.</param>
    /// <param name="right">The b_k.</param>
    /// <param name="rows">Length of the a_k.</param>
    /// <param name="loop">Where the work is done.</param>
    /// <param name="take">Gets each row and its index, on any thread.</param>
    public static void Compose(double[][] left, double[] values, double[][] right, int rows, ParallelLoop loop, Action<int, double[]> take) =>
        loop((rows + ComposedRows - 1) / ComposedRows, group =>
        {
            var (first, columns) = (group * ComposedRows, right.Length == 0 ? 0 : right[0].Length);
            var made = Enumerable.Range(0, Math.Min(ComposedRows, rows - first)).Select(_ => new double[columns]).ToArray();
            for (var start = 0; start < columns; start += ComposedColumns)
            {
                var width = Math.Min(ComposedColumns, columns - start);
                for (var k = 0; k < right.Length; k++)
                {
                    var vector = right[k].AsSpan(start, width);
                    for (var i = 0; i < made.Length; i++)
                        TensorPrimitives.MultiplyAdd(vector, values[k] * left[k][first + i], made[i].AsSpan(start, width), made[i].AsSpan(start, width));
                }
            }

            for (var i = 0; i < made.Length; i++)
                take(first + i, made[i]);
        });

    private static (int[] Kept, double[] Values) NonZero(double[] values, int length)
    {
        var least = values.DefaultIfEmpty(0).Max() * length * Math.Pow(2, -52);
        int[] kept = [.. Enumerable.Range(0, values.Length).Where(i => values[i] > least).OrderByDescending(i => values[i])];
        return (kept, [.. kept.Select(i => values[i])]);
    }
}
