using System.Numerics.Tensors;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Merging;

/// <summary>Inner products G_ij = X_i . X_j of some sources X_i, or of their differences from an origin, in double precision: all that methods on
/// the sphere need to know of a tensor, since their results are linear combinations of the X_i.</summary>
/// <param name="values">Row-major, symmetric.</param>
/// <param name="size">Number of vectors.</param>
public readonly struct GramMatrix(double[] values, int size)
{
    /// <summary>Number of vectors.</summary>
    public int Size => size;

    /// <summary>X_i . X_j.</summary>
    public double this[int i, int j] => values[i * size + j];

    /// <summary>Different products of so many vectors.</summary>
    public static int Pairs(int size) => size * (size + 1) / 2;

    /// <summary>|X_i|.</summary>
    public double Norm(int i) => Math.Sqrt(this[i, i]);

    /// <summary>(sum_i a_i X_i) . (sum_j b_j X_j).</summary>
    public double Product(ReadOnlySpan<double> a, ReadOnlySpan<double> b)
    {
        var sum = 0.0;
        for (var i = 0; i < size; i++)
            sum += a[i] * Product(i, b);
        return sum;
    }

    /// <summary>X_i . (sum_j b_j X_j).</summary>
    public double Product(int i, ReadOnlySpan<double> b)
    {
        var sum = 0.0;
        for (var j = 0; j < size; j++)
            sum += this[i, j] * b[j];
        return sum;
    }

    /// <summary>Length of sum_i a_i X_i; rounding below zero counts as zero.</summary>
    public double Length(ReadOnlySpan<double> a) => Math.Sqrt(Math.Max(0, Product(a, a)));

    /// <summary>The products over the whole tensor, in one pass.</summary>
    /// <param name="inputs">The tensor.</param>
    /// <param name="models">The sources.</param>
    /// <param name="origin">Source that is subtracted from each, or -1.</param>
    public static GramMatrix Of(TensorInputs inputs, int[] models, int origin) =>
        From(inputs.Sum(Pairs(models.Length), (chunk, offset, length, sums) => Fill(chunk, offset, length, models, origin, sums)), models.Length);

    /// <summary>The products per row, <c>[rows, pairs]</c>, in one pass; see <see cref="From"/>.</summary>
    public static double[] OfRows(TensorInputs inputs, long columns, int[] models, int origin) =>
        inputs.ReduceRows(columns, Pairs(models.Length), (chunk, offset, length, sums) => Fill(chunk, offset, length, models, origin, sums));

    /// <summary>The matrix from its different products in the order (0,0), (0,1) ... (1,1) ...</summary>
    public static GramMatrix From(ReadOnlySpan<double> pairs, int size)
    {
        var (values, at) = (new double[size * size], 0);
        for (var i = 0; i < size; i++)
            for (var j = i; j < size; j++)
                values[i * size + j] = values[j * size + i] = pairs[at++];
        return new GramMatrix(values, size);
    }

    private static void Fill(Chunk chunk, int offset, int length, int[] models, int origin, Span<double> sums)
    {
        if (origin >= 0)
            foreach (var model in models)
                TensorPrimitives.Subtract(chunk.Source(model).Slice(offset, length), chunk.Source(origin).Slice(offset, length), chunk.Source(model).Slice(offset, length));
        var at = 0;
        for (var i = 0; i < models.Length; i++)
            for (var j = i; j < models.Length; j++)
                sums[at++] = TensorMath.Dot(chunk.Source(models[i]).Slice(offset, length), chunk.Source(models[j]).Slice(offset, length));
    }
}
