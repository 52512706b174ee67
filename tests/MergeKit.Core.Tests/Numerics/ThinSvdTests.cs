using MergeKit.Core.Numerics;
using static MergeKit.Core.Tests.Merging.Tensors;

namespace MergeKit.Core.Tests.Numerics;

/// <summary>The decomposition gives the matrix back from orthonormal vectors; sums are exact enough to be checked against plain ones.</summary>
public class ThinSvdTests
{
    [Theory]
    [InlineData(1, 1)]
    [InlineData(1, 9)]
    [InlineData(2, 2)]
    [InlineData(7, 12)]
    [InlineData(64, 65)]
    [InlineData(90, 200)]
    public void Gives_the_matrix_back(int rows, int columns)
    {
        var matrix = Matrix(rows, columns);
        var svd = ThinSvd.Of([.. matrix.Select(row => (double[])row.Clone())], (count, body) => Parallel.For(0, count, body));
        Assert.Equal(rows, svd.Values.Length);
        Assert.Equal(svd.Values.OrderDescending(), svd.Values);
        Assert.All(svd.Values, value => Assert.True(value > 0));
        Orthonormal(svd.Left);
        Orthonormal(svd.Right);
        ThinSvd.Compose(svd.Left, svd.Values, svd.Right, rows, Here, (i, row) =>
        {
            for (var j = 0; j < columns; j++)
                Assert.Equal(matrix[i][j], row[j], 1e-12 * columns);
        });
    }

    [Fact]
    public void Finds_known_values_small_ones_too_and_leaves_zeros_out()
    {
        var svd = ThinSvd.Of([[0, 3, 0, 0], [0, 0, 0, 0], [1e-9, 0, 0, 0], [0, 0, -7, 0]], Here);
        Assert.Equal([7, 3, 1e-9], svd.Values);
        var twice = ThinSvd.Of([[1, 2, 3], [2, 4, 6]], Here);
        Assert.Equal(Math.Sqrt(70), Assert.Single(twice.Values), 1e-12);
        Assert.Empty(ThinSvd.Of([], Here).Values);
    }

    /// <summary>Known factors with spectra that are hard: graded over twelve decades, repeated values, most of them zero.</summary>
    [Theory]
    [InlineData(60, 61, "graded")]
    [InlineData(130, 130, "graded")]
    [InlineData(70, 300, "repeated")]
    [InlineData(150, 151, "deficient")]
    [InlineData(33, 129, "deficient")]
    public void Finds_the_values_and_the_polar_factor_of_hard_spectra(int rows, int columns, string spectrum)
    {
        var (u, v) = (ThinSvd.Of(Matrix(rows, rows), Here), ThinSvd.Of(Matrix(rows, columns), Here));
        var rank = spectrum == "deficient" ? rows / 4 : rows;
        var values = Enumerable.Range(0, rank).Select(k => spectrum switch { "graded" => Math.Pow(10, -12.0 * k / rows), "repeated" => 3.0 - k / 30, _ => 5.0 - (double)k / rank }).ToArray();
        double[][] matrix = new double[rows][], polar = new double[rows][], found = new double[rows][];
        ThinSvd.Compose(u.Left[..rank], values, v.Right[..rank], rows, Here, (i, row) => matrix[i] = row);
        ThinSvd.Compose(u.Left[..rank], [.. values.Select(_ => 1.0)], v.Right[..rank], rows, Here, (i, row) => polar[i] = row);
        var svd = ThinSvd.Of([.. matrix.Select(row => (double[])row.Clone())], Here);
        Assert.Equal(rank, svd.Values.Length);
        for (var k = 0; k < rank; k++)
            Assert.Equal(values[k], svd.Values[k], 1e-14 * rows);
        Orthonormal(svd.Left);
        Orthonormal(svd.Right);
        svd.Polar(1, rows, Here, (i, row) => found[i] = row);
        for (var i = 0; i < rows; i++)
            for (var j = 0; j < columns; j++)
                Assert.Equal(polar[i][j], found[i][j], spectrum == "graded" ? 1e-3 : 1e-12); // what rounding the product leaves of the smallest directions
    }

    [Fact]
    public void Bits_do_not_depend_on_threads()
    {
        var alone = ThinSvd.Of(Matrix(70, 91), Here);
        var together = ThinSvd.Of(Matrix(70, 91), (count, body) => Parallel.For(0, count, body));
        Assert.Equal(alone.Values, together.Values);
        Assert.Equal(alone.Left, together.Left);
        Assert.Equal(alone.Right, together.Right);
    }

    [Fact]
    public void Refuses_more_rows_than_columns() => Assert.Throws<ArgumentException>(() => ThinSvd.Of([[1], [2]], Here));

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(31)]
    [InlineData(32)]
    [InlineData(1001)]
    public void Dot_products_are_those_of_doubles(int count)
    {
        var (x, y) = (Random(count, 1), Random(count, 2));
        Assert.Equal(Dot(Wide(x), Wide(y)), TensorMath.Dot(x, y), 1e-12);
    }

    private static void Here(int count, Action<int> body)
    {
        for (var i = 0; i < count; i++)
            body(i);
    }

    private static double[][] Matrix(int rows, int columns)
    {
        var values = Wide(Random(rows * columns, 5));
        return [.. Enumerable.Range(0, rows).Select(row => values[(row * columns)..((row + 1) * columns)])];
    }

    private static void Orthonormal(double[][] vectors)
    {
        for (var i = 0; i < vectors.Length; i++)
            for (var j = 0; j <= i; j++)
                Assert.Equal(i == j ? 1 : 0, Dot(vectors[i], vectors[j]), 1e-12);
    }
}
