using System.Numerics.Tensors;
using MathNet.Numerics.Distributions;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Merging.Transplanting;

/// <summary>Makes one new row, by its number in the donor's vocabulary.</summary>
internal delegate void RowMaker(int row, Span<float> values);

/// <summary>New rows that are no combinations of few others.</summary>
internal static class MadeRows
{
    /// <summary>The linear map that carries the donor's rows of shared tokens, around their mean and along their principal components, to the model's in
    /// the least-squares sense; applied to the donor's row: mean_b + (x - mean_d) (D^T D)^-1 D^T B.</summary>
    /// <param name="donor">The donor's matrix and its width.</param>
    /// <param name="donorRows">Its rows of shared tokens.</param>
    /// <param name="model">The model's matrix and its width.</param>
    /// <param name="modelRows">Its rows of the same tokens.</param>
    /// <param name="moments">Who works.</param>
    public static RowMaker Mapped((ITensorSource Matrix, int Width) donor, int[] donorRows, (ITensorSource Matrix, int Width) model, int[] modelRows, RowMoments moments)
    {
        var (a, b) = (RowMean.Of(donor.Matrix, donor.Width, donorRows), RowMean.Of(model.Matrix, model.Width, modelRows));
        var theirs = (donor.Matrix, donor.Width, donorRows, a);
        var (left, right) = (moments.Products(theirs, theirs), moments.Products(theirs, (model.Matrix, model.Width, modelRows, b)));
        NormalEquations.Solve(left, right, moments.Run);
        var map = Array.ConvertAll(right, row => Array.ConvertAll(row, value => (float)value));
        return (row, values) =>
        {
            var (x, scratch) = (new float[donor.Width], new byte[donor.Width * sizeof(double)]);
            donor.Matrix.Read((long)row * donor.Width, x, scratch);
            b.CopyTo(values);
            for (var i = 0; i < x.Length; i++)
                TensorPrimitives.MultiplyAdd(map[i], x[i] - a[i], values, values);
        };
    }

    /// <summary>Draws from the normal distribution with the mean and covariance of the model's rows (Hewitt 2021, "Initializing New Word Embeddings for
    /// Pretrained Language Models"): mean + L z with L L^T the covariance.</summary>
    public static RowMaker Distributed((ITensorSource Matrix, int Width) model, int[] rows, CounterRandom random, RowMoments moments)
    {
        var mean = RowMean.Of(model.Matrix, model.Width, rows);
        var all = (model.Matrix, model.Width, rows, mean);
        var factor = moments.Products(all, all);
        foreach (var line in factor)
            TensorPrimitives.Divide(line, rows.Length, line);
        Decompose(factor, moments);
        return (row, values) =>
        {
            var z = Normals(random, row, model.Width);
            for (var i = 0; i < values.Length; i++)
                values[i] = mean[i] + (float)TensorPrimitives.Dot<double>(factor[i].AsSpan(0, i + 1), z.AsSpan(0, i + 1));
        };
    }

    /// <summary>Normal noise with mean 0 and the root mean square of the model's elements as its deviation.</summary>
    public static RowMaker Noise((ITensorSource Matrix, int Width) model, int[] rows, CounterRandom random)
    {
        var (sum, values, scratch) = (0.0, new float[model.Width], new byte[model.Width * sizeof(double)]);
        foreach (var row in rows)
        {
            model.Matrix.Read((long)row * model.Width, values, scratch);
            sum += TensorPrimitives.SumOfSquares<float>(values);
        }

        var deviation = Math.Sqrt(sum / Math.Max(1, (double)rows.Length * model.Width));
        return (row, made) =>
        {
            var z = Normals(random, row, model.Width);
            for (var i = 0; i < made.Length; i++)
                made[i] = (float)(deviation * z[i]);
        };
    }

    /// <summary>L in the lower triangle; a direction without spread stays without.</summary>
    private static void Decompose(double[][] matrix, RowMoments moments)
    {
        for (var j = 0; j < matrix.Length; j++)
        {
            var (row, column) = (matrix[j], j);
            var (spread, pivot) = (row[j], row[j] - TensorPrimitives.SumOfSquares<double>(row.AsSpan(0, j)));
            row[j] = pivot > 1e-12 * spread ? Math.Sqrt(pivot) : 0;
            moments.Run(matrix.Length - j - 1, i =>
            {
                var other = matrix[column + 1 + i];
                other[column] = row[column] == 0 ? 0 : (other[column] - TensorPrimitives.Dot<double>(other.AsSpan(0, column), row.AsSpan(0, column))) / row[column];
            });
        }
    }

    private static double[] Normals(CounterRandom random, int row, int count)
    {
        var words = new uint[count];
        random.Fill((long)row * count, words);
        return Array.ConvertAll(words, word => Normal.InvCDF(0, 1, (word + 0.5) / (uint.MaxValue + 1.0)));
    }
}
