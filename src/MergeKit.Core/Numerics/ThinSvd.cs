using System.Numerics.Tensors;

namespace MergeKit.Core.Numerics;

/// <summary>Runs a body for 0 .. count-1 in any order, perhaps on several threads; returns when all are done.</summary>
public delegate void ParallelLoop(int count, Action<int> body);

/// <summary>Thin singular value decomposition M = sum_k s_k u_k v_k^T in double precision by one-sided Jacobi rotations (Hestenes 1958, "Inversion
/// of matrices by biorthogonalization"; pairs in rounds of a tournament, so that the pairs of a round are independent). Accurate also for small
/// singular values. The bits do not depend on the number of threads.</summary>
public sealed class ThinSvd
{
    private const double Orthogonal = 1e-15;
    private const int MostSweeps = 60;

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
    /// <exception cref="ArgumentException">More rows than columns.</exception>
    public static ThinSvd Of(double[][] rows, ParallelLoop loop)
    {
        var (count, length) = (rows.Length, rows.Length == 0 ? 0 : rows[0].Length);
        if (count > length)
            throw new ArgumentException($"{count} rows of {length}: no more rows than columns are wanted", nameof(rows));
        var turned = new double[count][];
        for (var i = 0; i < count; i++)
            (turned[i] = new double[count])[i] = 1;
        for (var sweep = 0; sweep < MostSweeps && Sweep(rows, turned, loop); sweep++) { }
        return Sorted(rows, turned, length);
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
        loop(rows, i =>
        {
            var row = new double[right.Length == 0 ? 0 : right[0].Length];
            for (var k = 0; k < right.Length; k++)
                TensorPrimitives.MultiplyAdd(right[k], values[k] * left[k][i], row, row);
            take(i, row);
        });

    /// <summary>Turns every pair of rows once; false when all were orthogonal already.</summary>
    private static bool Sweep(double[][] rows, double[][] turned, ParallelLoop loop)
    {
        var seats = rows.Length + rows.Length % 2;
        var rotations = 0;
        for (var round = 0; round < seats - 1; round++)
        {
            var shift = round;
            loop(seats / 2, pair =>
            {
                var first = pair == 0 ? seats - 1 : (shift + pair) % (seats - 1);
                var second = pair == 0 ? shift : (shift - pair + seats - 1) % (seats - 1);
                if (first < rows.Length && second < rows.Length && Rotate(rows, turned, Math.Min(first, second), Math.Max(first, second)))
                    Interlocked.Increment(ref rotations);
            });
        }

        return rotations > 0;
    }

    private static bool Rotate(double[][] rows, double[][] turned, int p, int q)
    {
        var (x, y) = (rows[p], rows[q]);
        var (xx, yy, xy) = (TensorPrimitives.Dot<double>(x, x), TensorPrimitives.Dot<double>(y, y), TensorPrimitives.Dot<double>(x, y));
        if (Math.Abs(xy) <= Orthogonal * Math.Sqrt(x.Length) * Math.Sqrt(xx) * Math.Sqrt(yy) || xy == 0)
            return false;
        var zeta = (yy - xx) / (2 * xy);
        var tangent = (zeta < 0 ? -1 : 1) / (Math.Abs(zeta) + Math.Sqrt(1 + zeta * zeta));
        var cosine = 1 / Math.Sqrt(1 + tangent * tangent);
        Turn(x, y, cosine, cosine * tangent);
        Turn(turned[p], turned[q], cosine, cosine * tangent);
        return true;
    }

    private static void Turn(double[] x, double[] y, double cosine, double sine)
    {
        for (var i = 0; i < x.Length; i++)
            (x[i], y[i]) = (cosine * x[i] - sine * y[i], sine * x[i] + cosine * y[i]);
    }

    private static ThinSvd Sorted(double[][] rows, double[][] turned, int length)
    {
        var norms = rows.Select(row => Math.Sqrt(TensorPrimitives.Dot<double>(row, row))).ToArray();
        var least = norms.DefaultIfEmpty(0).Max() * length * Math.Pow(2, -52);
        var order = Enumerable.Range(0, rows.Length).Where(i => norms[i] > least).OrderByDescending(i => norms[i]).ToArray();
        foreach (var i in order)
            TensorPrimitives.Divide(rows[i], norms[i], rows[i]);
        return new ThinSvd([.. order.Select(i => norms[i])], [.. order.Select(i => turned[i])], [.. order.Select(i => rows[i])]);
    }
}
