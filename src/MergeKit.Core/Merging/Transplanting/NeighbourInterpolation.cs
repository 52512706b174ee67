using MathNet.Numerics.LinearAlgebra;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Merging.Transplanting;

/// <summary>Approximates a row by its nearest neighbours.</summary>
/// <param name="set">The rows to choose from.</param>
/// <param name="count">Number of neighbours.</param>
/// <param name="weights">How they are weighted.</param>
/// <param name="cosine">Nearest by the angle instead of the distance.</param>
internal sealed class NeighbourInterpolation(GramRows set, int count, NeighbourWeights weights, bool cosine)
{
    private const double Tiny = 1e-6;
    private readonly double[] _norms = [.. Enumerable.Range(0, set.Count).Select(i => TensorMath.Dot(set.Vector(i), set.Vector(i)))];

    /// <summary>The neighbours of y and their weights.</summary>
    /// <param name="y">The row.</param>
    /// <param name="products">Its inner products with all rows of the set; overwritten.</param>
    public (int Index, float Factor)[] Approximate(ReadOnlySpan<float> y, Span<float> products)
    {
        var norm = TensorMath.Dot(y, y);
        for (var i = 0; i < products.Length; i++)
            products[i] = (float)(cosine
                ? 1 - products[i] / Math.Max(Math.Sqrt(norm * _norms[i]), Tiny)
                : Math.Sqrt(Math.Max(0, norm + _norms[i] - 2.0 * products[i])));
        var nearest = Nearest(products);
        var factors = weights == NeighbourWeights.DistanceProportional ? ByDistance(nearest, products) : BySolution(nearest, y);
        return [.. nearest.Select((index, i) => (index, (float)factors[i]))];
    }

    private int[] Nearest(ReadOnlySpan<float> distances)
    {
        var queue = new PriorityQueue<int, (float, int)>(count + 1);
        for (var i = 0; i < distances.Length; i++)
        {
            var priority = (-distances[i], -i); // the farthest comes out first
            if (queue.Count < count)
                queue.Enqueue(i, priority);
            else
                queue.EnqueueDequeue(i, priority);
        }

        var nearest = new int[queue.Count];
        for (var i = nearest.Length - 1; i >= 0; i--)
            nearest[i] = queue.Dequeue();
        return nearest;
    }

    private double[] ByDistance(int[] nearest, ReadOnlySpan<float> distances)
    {
        var factors = new double[nearest.Length];
        for (var i = 0; i < factors.Length; i++)
            factors[i] = cosine ? 1 - distances[nearest[i]] : 1 / Math.Max(distances[nearest[i]], Tiny);
        var sum = Math.Max(factors.Sum(), Tiny);
        return Array.ConvertAll(factors, factor => factor / sum);
    }

    /// <summary>Least squares by the normal equations, with a border that makes the weights add up to one where that is asked for; the shortest solution where they are singular.</summary>
    private double[] BySolution(int[] nearest, ReadOnlySpan<float> y)
    {
        var border = weights == NeighbourWeights.Barycentric ? 1 : 0;
        var (matrix, right) = (Matrix<double>.Build.Dense(nearest.Length + border, nearest.Length + border), Vector<double>.Build.Dense(nearest.Length + border));
        for (var i = 0; i < nearest.Length; i++)
        {
            right[i] = TensorMath.Dot(set.Vector(nearest[i]), y);
            for (var j = 0; j <= i; j++)
                matrix[i, j] = matrix[j, i] = TensorMath.Dot(set.Vector(nearest[i]), set.Vector(nearest[j]));
            if (border > 0)
                matrix[i, nearest.Length] = matrix[nearest.Length, i] = 1;
        }

        if (border > 0)
            right[nearest.Length] = 1;
        var solution = matrix.PseudoInverse() * right;
        return [.. solution.Take(nearest.Length)];
    }
}
