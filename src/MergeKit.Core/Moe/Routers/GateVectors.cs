using System.Numerics.Tensors;
using MathNet.Numerics.LinearAlgebra;

namespace MergeKit.Core.Moe.Routers;

/// <summary>Router rows made of states: mean over the positive prompts, minus the same of the negative ones, at length one.</summary>
public static class GateVectors
{
    private const double Least = 1e-8;

    /// <summary>The mean state over a prompt's tokens, or the last one.</summary>
    public static double[] Pool(IReadOnlyList<double[]> tokens, bool last)
    {
        if (last)
            return tokens[^1];
        var sum = new double[tokens[0].Length];
        foreach (var token in tokens)
            TensorPrimitives.Add(sum, token, sum);
        TensorPrimitives.Divide(sum, tokens.Count, sum);
        return sum;
    }

    /// <summary>One row from pooled states.</summary>
    public static double[] Row(IReadOnlyList<double[]> positive, IReadOnlyList<double[]> negative)
    {
        var row = Pool(positive, last: false);
        if (negative.Count > 0)
            TensorPrimitives.Subtract(row, Pool(negative, last: false), row);
        return Normalised(row);
    }

    /// <summary>One row from token embeddings: the sum over all tokens of the positive prompts at length one, minus the same of the negative ones, at length one.</summary>
    public static double[] EmbeddingRow(IReadOnlyList<double[]> positive, IReadOnlyList<double[]> negative)
    {
        var row = Normalised(Sum(positive));
        if (negative.Count == 0)
            return row;
        TensorPrimitives.Subtract(row, Normalised(Sum(negative)), row);
        return Normalised(row);
    }

    /// <summary>Largest over smallest singular value of [experts, width].</summary>
    public static double Condition(IReadOnlyList<double[]> rows)
    {
        var matrix = Matrix<double>.Build.DenseOfRowArrays(rows.Select(row => row));
        var gram = rows.Count <= rows[0].Length ? matrix.TransposeAndMultiply(matrix) : matrix.TransposeThisAndMultiply(matrix);
        var values = gram.Evd(Symmetricity.Symmetric).EigenValues.Select(value => Math.Max(0, value.Real)).ToArray();
        return values.Min() > values.Max() * 1e-15 ? Math.Sqrt(values.Max() / values.Min()) : double.PositiveInfinity;
    }

    private static double[] Sum(IReadOnlyList<double[]> vectors)
    {
        var sum = new double[vectors[0].Length];
        foreach (var vector in vectors)
            TensorPrimitives.Add(sum, vector, sum);
        return sum;
    }

    private static double[] Normalised(double[] vector)
    {
        TensorPrimitives.Divide(vector, Math.Max(Least, TensorPrimitives.Norm<double>(vector)), vector);
        return vector;
    }
}
