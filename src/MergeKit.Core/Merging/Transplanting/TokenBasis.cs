using System.Numerics.Tensors;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Merging.Transplanting;

/// <summary>The rows of a matrix that stand for shared tokens.</summary>
/// <param name="Matrix">The matrix.</param>
/// <param name="Width">Elements of a row.</param>
/// <param name="Shared">Its rows of shared tokens.</param>
/// <param name="Count">Rows that are tokens: those that count for its mean.</param>
internal sealed record TokenRows(ITensorSource Matrix, int Width, int[] Shared, int Count);

/// <summary>Sparse token bases. The principal directions u_1 .. u_d of the shared tokens' rows around their mean (of the model's matrix, or the donor's if that is
/// narrower; d is its width) are each approximated by k of those rows, u_i ~ sum_j c_ij x_ij. The same combinations of the donor's and of the model's rows, not
/// centred, are the bases P [d, donor's width] and Q [d, model's width]; a donor's row x becomes mean_Q + c Q for the c with c P nearest to x - mean_P.
/// Directions in which the rows do not spread are left out.</summary>
/// <param name="approximation">Who approximates.</param>
/// <param name="moments">Who makes covariances.</param>
internal sealed class TokenBasis(RowApproximation approximation, RowMoments moments)
{
    /// <summary>The map from the donor's rows to new rows of the model.</summary>
    public RowMaker Map(TokenRows donor, TokenRows model)
    {
        var terms = Directions(donor.Width < model.Width ? donor : model);
        var (p, q) = (Combine(donor, terms), Combine(model, terms));
        var svd = p.Length <= donor.Width ? ThinSvd.Of(p, moments.Run) : throw new InvalidOperationException("more directions than the donor is wide");
        var map = Product(svd, q, model.Width);
        var (a, b) = (RowMean.Of(donor.Matrix, donor.Width, Enumerable.Range(0, donor.Count)), RowMean.Of(model.Matrix, model.Width, Enumerable.Range(0, model.Count)));
        return (row, values) =>
        {
            var (x, scratch) = (new float[donor.Width], new byte[donor.Width * sizeof(double)]);
            donor.Matrix.Read((long)row * donor.Width, x, scratch);
            var sum = Array.ConvertAll(b, value => (double)value);
            for (var i = 0; i < x.Length; i++)
                TensorPrimitives.MultiplyAdd(map[i], x[i] - (double)a[i], sum, sum);
            for (var j = 0; j < sum.Length; j++)
                values[j] = (float)sum[j];
        };
    }

    /// <summary>The combinations c_ij of shared rows for the principal directions.</summary>
    private (int Index, float Factor)[][] Directions(TokenRows source)
    {
        var mean = RowMean.Of(source.Matrix, source.Width, source.Shared);
        var all = (source.Matrix, source.Width, source.Shared, mean);
        var directions = ThinSvd.Of(moments.Products(all, all), moments.Run).Left;
        var centred = RowApproximation.ReadRows(source.Matrix, source.Width, source.Shared);
        for (var row = 0; row < source.Shared.Length; row++)
            TensorPrimitives.Subtract(centred.AsSpan(row * source.Width, source.Width), mean, centred.AsSpan(row * source.Width, source.Width));
        return approximation.Pursue(centred, source.Width, Array.ConvertAll(directions, direction => Array.ConvertAll(direction, value => (float)value)));
    }

    private static double[][] Combine(TokenRows rows, (int Index, float Factor)[][] terms)
    {
        var (values, scratch) = (new float[rows.Width], new byte[rows.Width * sizeof(double)]);
        return Array.ConvertAll(terms, combination =>
        {
            var sum = new double[rows.Width];
            foreach (var (index, factor) in combination)
            {
                rows.Matrix.Read((long)rows.Shared[index] * rows.Width, values, scratch);
                for (var j = 0; j < sum.Length; j++)
                    sum[j] += (double)factor * values[j];
            }

            return sum;
        });
    }

    /// <summary>P^+ Q = V S^-1 U^T Q, by rows.</summary>
    private double[][] Product(ThinSvd p, double[][] q, int width)
    {
        var inner = new double[p.Values.Length][];
        moments.Run(inner.Length, k =>
        {
            inner[k] = new double[width];
            for (var i = 0; i < q.Length; i++)
                TensorPrimitives.MultiplyAdd(q[i], p.Left[k][i] / p.Values[k], inner[k], inner[k]);
        });
        var result = new double[p.Right.Length == 0 ? 0 : p.Right[0].Length][];
        moments.Run(result.Length, j =>
        {
            result[j] = new double[width];
            for (var k = 0; k < inner.Length; k++)
                TensorPrimitives.MultiplyAdd(inner[k], p.Right[k][j], result[j], result[j]);
        });
        return result;
    }
}
