using System.Numerics.Tensors;

namespace MergeKit.Core.Numerics;

/// <summary>The leading singular triplets of a large matrix by projection on a random subspace, sharpened by power iterations
/// (Halko, Martinsson, Tropp 2011, "Finding structure with randomness", algorithms 4.4 and 5.1); exact for small matrices. The bits do not depend
/// on the number of threads.</summary>
/// <param name="Values">s_k, descending.</param>
/// <param name="Left">u_k, one per value.</param>
/// <param name="Right">v_k, one per value.</param>
public sealed record RandomizedSvd(double[] Values, double[][] Left, double[][] Right)
{
    private const int Oversampling = 20;
    private const int PowerIterations = 8;
    private const int SmallSide = 512;
    private const int BlockColumns = 512;
    private const double OperationsPerSecond = 3e9;

    /// <summary>At most <paramref name="rank"/> triplets; fewer where the matrix has no more.</summary>
    /// <param name="matrix">Row-major elements.</param>
    /// <param name="rows">Its rows.</param>
    /// <param name="columns">Its columns.</param>
    /// <param name="rank">How many are wanted.</param>
    /// <param name="random">Where the subspace comes from.</param>
    /// <param name="decomposer">What decomposes whole matrices; one that prefers them whole gets this one.</param>
    /// <param name="loop">Where the work is done.</param>
    public static RandomizedSvd Of(float[] matrix, int rows, int columns, int rank, CounterRandom random, IDecomposer decomposer, ParallelLoop loop)
    {
        var side = Math.Min(rows, columns);
        var width = (int)Width(side, rank);
        var (values, left, right) = IsWhole(rows, columns, rank, decomposer)
            ? Exact(matrix, rows, columns, decomposer, loop)
            : Projected(matrix, rows, columns, width, random, loop);
        var keep = Math.Min(rank, values.Length);
        return new RandomizedSvd(values[..keep], left[..keep], right[..keep]);
    }

    /// <summary>What a matrix costs, about.</summary>
    public static DecompositionCost Cost(long rows, long columns, int rank, IDecomposer decomposer, int threads)
    {
        var (shorter, longer) = (Math.Min(rows, columns), Math.Max(rows, columns));
        var operations = 2.0 * rows * columns * Width(shorter, rank) * (2 * PowerIterations + 2);
        return IsWhole(rows, columns, rank, decomposer) ? decomposer.Cost(shorter, longer, threads) : new DecompositionCost(operations, operations / (OperationsPerSecond * threads));
    }

    private static bool IsWhole(long rows, long columns, int rank, IDecomposer decomposer) =>
        Math.Min(rows, columns) is var side && (decomposer.PrefersWhole || side <= SmallSide || 2 * Width(side, rank) > side);

    private static long Width(long side, int rank) => Math.Min(side, rank + Math.Max(Oversampling, rank));

    private static (double[], double[][], double[][]) Exact(float[] matrix, int rows, int columns, IDecomposer decomposer, ParallelLoop loop)
    {
        var turned = rows > columns;
        var lines = new double[Math.Min(rows, columns)][];
        for (var i = 0; i < lines.Length; i++)
        {
            lines[i] = new double[Math.Max(rows, columns)];
            for (var j = 0; j < lines[i].Length; j++)
                lines[i][j] = turned ? matrix[(long)j * columns + i] : matrix[(long)i * columns + j];
        }

        var svd = decomposer.Decompose(lines, loop);
        return turned ? (svd.Values, svd.Right, svd.Left) : (svd.Values, svd.Left, svd.Right);
    }

    private static (double[], double[][], double[][]) Projected(float[] matrix, int rows, int columns, int width, CounterRandom random, ParallelLoop loop)
    {
        var basis = Orthonormal(Multiply(matrix, rows, columns, Gaussian(width, columns, random), loop));
        for (var i = 0; i < PowerIterations; i++)
            basis = Orthonormal(Multiply(matrix, rows, columns, Orthonormal(MultiplyTransposed(matrix, rows, columns, basis, loop)), loop));
        var svd = ThinSvd.Of(MultiplyTransposed(matrix, rows, columns, basis, loop), loop);
        var left = new double[svd.Values.Length][];
        loop(left.Length, k =>
        {
            left[k] = new double[rows];
            for (var j = 0; j < basis.Length; j++)
                TensorPrimitives.MultiplyAdd(basis[j], svd.Left[k][j], left[k], left[k]);
        });
        return (svd.Values, left, svd.Right);
    }

    /// <summary>Normal deviates by Box and Muller's method.</summary>
    private static double[][] Gaussian(int count, int length, CounterRandom random)
    {
        var (vectors, words) = (new double[count][], new uint[2 * length]);
        for (var k = 0; k < count; k++)
        {
            random.Fill((long)k * words.Length, words);
            vectors[k] = new double[length];
            for (var i = 0; i < length; i++)
                vectors[k][i] = Math.Sqrt(-2 * Math.Log((words[2 * i] + 1.0) / 4294967297.0)) * Math.Cos(2 * Math.PI * words[2 * i + 1] / 4294967296.0);
        }

        return vectors;
    }

    /// <summary>M x_k for each vector x_k.</summary>
    private static double[][] Multiply(float[] matrix, int rows, int columns, double[][] vectors, ParallelLoop loop)
    {
        var result = vectors.Select(_ => new double[rows]).ToArray();
        loop(rows, i =>
        {
            var row = new double[columns];
            TensorPrimitives.ConvertTruncating<float, double>(matrix.AsSpan(checked(i * columns), columns), row);
            for (var k = 0; k < vectors.Length; k++)
                result[k][i] = TensorPrimitives.Dot<double>(row, vectors[k]);
        });
        return result;
    }

    /// <summary>M^T y_k for each vector y_k.</summary>
    private static double[][] MultiplyTransposed(float[] matrix, int rows, int columns, double[][] vectors, ParallelLoop loop)
    {
        var result = vectors.Select(_ => new double[columns]).ToArray();
        loop((columns + BlockColumns - 1) / BlockColumns, block =>
        {
            var first = block * BlockColumns;
            var part = new double[Math.Min(BlockColumns, columns - first)];
            for (var i = 0; i < rows; i++)
            {
                TensorPrimitives.ConvertTruncating<float, double>(matrix.AsSpan(checked(i * columns + first), part.Length), part);
                for (var k = 0; k < vectors.Length; k++)
                {
                    var sum = result[k].AsSpan(first, part.Length);
                    TensorPrimitives.MultiplyAdd(part, vectors[k][i], sum, sum);
                }
            }
        });
        return result;
    }

    /// <summary>Gram and Schmidt's method, twice; vectors that depend on the earlier ones become zero.</summary>
    private static double[][] Orthonormal(double[][] vectors)
    {
        for (var k = 0; k < vectors.Length; k++)
        {
            var (vector, before) = (vectors[k], Norm(vectors[k]));
            for (var pass = 0; pass < 2; pass++)
                for (var j = 0; j < k; j++)
                    TensorPrimitives.MultiplyAdd(vectors[j], -TensorPrimitives.Dot<double>(vectors[j], vector), vector, vector);
            var norm = Norm(vector);
            if (norm <= 1e-13 * before || norm == 0)
                Array.Clear(vector);
            else
                TensorPrimitives.Divide(vector, norm, vector);
        }

        return vectors;
    }

    private static double Norm(double[] vector) => Math.Sqrt(TensorPrimitives.Dot<double>(vector, vector));
}
