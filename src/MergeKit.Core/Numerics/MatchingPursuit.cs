using System.Numerics.Tensors;

namespace MergeKit.Core.Numerics;

/// <summary>Orthogonal matching pursuit: approximates a vector y by few vectors p_i of a set, y ~ sum_j c_j p_ij. In each step the p_i with the greatest |p_i . r| joins, where r is
/// what the best combination so far leaves of y (Pati, Rezaiifar and Krishnaprasad 1993). As in Rubinstein, Zibulevsky and Elad 2008 ("Efficient Implementation of the K-SVD Algorithm
/// using Batch Orthogonal Matching Pursuit") the residual itself is never formed: with q_t the orthonormal directions, only the products p_i . q_t are kept, and the Cholesky factor
/// grows by a row per step. One object serves one thread.</summary>
/// <param name="set">The vectors and their products.</param>
/// <param name="steps">The most vectors in an approximation.</param>
public sealed class MatchingPursuit(GramRows set, int steps)
{
    private const double Smallest = 1e-6;
    private readonly float[][] _directions = new float[steps][]; // p_i . q_t for all i
    private readonly int[] _chosen = new int[steps];
    private readonly double[] _factor = new double[steps * steps];

    /// <summary>The chosen vectors and their coefficients for y.</summary>
    /// <param name="y">The vector.</param>
    /// <param name="products">p_i . y for all i; overwritten.</param>
    public (int Index, float Factor)[] Approximate(ReadOnlySpan<float> y, Span<float> products)
    {
        var norm = Norm(y);
        var (count, left) = (0, norm * norm);
        while (count < Math.Min(steps, set.Count) && left > Smallest * Smallest * norm * norm)
        {
            var next = TensorPrimitives.IndexOfMaxMagnitude<float>(products);
            if (products[next] == 0 || !float.IsFinite(products[next]))
                break;
            var row = set.Row(next);
            if (Join(row, next, count) is not { } length)
            {
                products[next] = 0; // depends on those chosen already
                continue;
            }

            var component = products[next] / length;
            Subtract(products, _directions[count], component);
            left -= component * component;
            _chosen[count++] = next;
            for (var j = 0; j < count; j++)
                products[_chosen[j]] = 0;
        }

        return Solve(y, count);
    }

    /// <summary>Makes the direction of a new vector; its length before it is scaled to one, or null where the vector depends on the others.</summary>
    private double? Join(float[] row, int index, int count)
    {
        var direction = _directions[count] ??= new float[set.Count];
        row.CopyTo(direction.AsSpan());
        var square = (double)row[index];
        for (var t = 0; t < count; t++)
        {
            var along = _directions[t][index];
            square -= (double)along * along;
            Subtract(direction, _directions[t], along);
        }

        if (square <= Smallest * row[index])
            return null;
        var length = Math.Sqrt(square);
        TensorPrimitives.Multiply(direction, (float)(1 / length), direction);
        return length;
    }

    private static void Subtract(Span<float> from, ReadOnlySpan<float> what, double times) => TensorPrimitives.MultiplyAdd(what, (float)-times, from, from);

    /// <summary>Least squares on the chosen vectors by the Cholesky factor of their products, all in double precision.</summary>
    private (int, float)[] Solve(ReadOnlySpan<float> y, int count)
    {
        var solution = new double[count];
        for (var i = 0; i < count; i++)
        {
            for (var j = 0; j <= i; j++)
            {
                var sum = Dot(set.Vector(_chosen[i]), set.Vector(_chosen[j]));
                for (var k = 0; k < j; k++)
                    sum -= _factor[i * steps + k] * _factor[j * steps + k];
                _factor[i * steps + j] = i == j ? Math.Sqrt(Math.Max(sum, double.Epsilon)) : sum / _factor[j * steps + j];
            }

            var value = Dot(set.Vector(_chosen[i]), y);
            for (var k = 0; k < i; k++)
                value -= _factor[i * steps + k] * solution[k];
            solution[i] = value / _factor[i * steps + i];
        }

        for (var i = count - 1; i >= 0; i--)
        {
            for (var k = i + 1; k < count; k++)
                solution[i] -= _factor[k * steps + i] * solution[k];
            solution[i] /= _factor[i * steps + i];
        }

        return [.. solution.Select((value, i) => (_chosen[i], (float)value))];
    }

    private static double Norm(ReadOnlySpan<float> y) => Math.Sqrt(Dot(y, y));

    private static double Dot(ReadOnlySpan<float> x, ReadOnlySpan<float> y) => TensorMath.Dot(x, y);
}
