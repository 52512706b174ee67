using MergeKit.Core.Numerics;

namespace MergeKit.Core.Tests.Numerics;

/// <summary>The normal equations' solver and the randomised decomposition, by what their results must satisfy.</summary>
public class SolverTests
{
    private static readonly ParallelLoop Loop = (count, body) => Parallel.For(0, count, body);

    [Theory]
    [InlineData(1, 3)]
    [InlineData(7, 2)]
    [InlineData(150, 300)]
    public void The_solution_satisfies_the_equations(int size, int width)
    {
        var dice = new SplitMix((ulong)size);
        var (s, x) = (Products(size, 2 * size, dice), Rows(size, width, dice));
        var t = Multiply(s, x);
        var (left, right) = (Clone(s), Clone(t));
        NormalEquations.Solve(left, right, Loop);
        for (var i = 0; i < size; i++)
            for (var j = 0; j < width; j++)
                Assert.Equal(x[i][j], right[i][j], 1e-6);
    }

    [Fact]
    public void Inputs_that_never_occur_leave_a_small_solution()
    {
        var dice = new SplitMix(5);
        var s = Products(12, 4, dice); // rank 4
        var t = Multiply(s, Rows(12, 3, dice));
        var right = Clone(t);
        NormalEquations.Solve(Clone(s), right, Loop);
        var back = Multiply(s, right);
        for (var i = 0; i < 12; i++)
            for (var j = 0; j < 3; j++)
                Assert.Equal(t[i][j], back[i][j], 1e-4);
    }

    [Fact]
    public void What_is_no_product_of_inputs_is_refused() =>
        Assert.Contains("not positive semidefinite", Assert.Throws<Diagnostics.InputException>(() => NormalEquations.Solve([[1, 5], [5, 1]], [[1], [1]], Loop)).Message, StringComparison.Ordinal);

    /// <summary>White noise is the hardest case: its spectrum is flat, so the leading directions hardly stand out.</summary>
    [Theory]
    [InlineData(40, 30, 8)]
    [InlineData(200, 300, 10)]
    [InlineData(300, 180, 20)]
    [InlineData(700, 900, 12)]
    public void The_leading_triplets_are_as_good_as_the_exact_ones(int rows, int columns, int rank)
    {
        var dice = new SplitMix(9);
        var matrix = dice.Array((long)rows * columns);
        var svd = RandomizedSvd.Of(matrix, rows, columns, rank, new CounterRandom(1, "t", 0), new CpuDecomposer(), Loop);
        var exact = ThinSvd.Of([.. Enumerable.Range(0, Math.Min(rows, columns)).Select(i => Enumerable.Range(0, Math.Max(rows, columns))
            .Select(j => (double)(rows <= columns ? matrix[i * columns + j] : matrix[j * columns + i])).ToArray())], Loop);
        double Rest(double[] values) => Math.Sqrt(exact.Values.Sum(value => value * value) - values.Take(rank).Sum(value => value * value));
        Assert.Equal(rank, svd.Values.Length);
        Assert.InRange(Rest(svd.Values), Rest(exact.Values) * (1 - 1e-9), Rest(exact.Values) * 1.005);
        for (var i = 0; i < rank; i++)
            for (var j = 0; j <= i; j++)
            {
                Assert.Equal(i == j ? 1 : 0, Dot(svd.Left[i], svd.Left[j]), 1e-9);
                Assert.Equal(i == j ? 1 : 0, Dot(svd.Right[i], svd.Right[j]), 1e-9);
            }
    }

    private static double Dot(double[] a, double[] b) => a.Zip(b, (x, y) => x * y).Sum();

    private static double[][] Rows(int rows, int columns, SplitMix dice) => [.. Enumerable.Range(0, rows).Select(_ => Array.ConvertAll(dice.Array(columns), value => (double)value))];

    private static double[][] Products(int size, int count, SplitMix dice)
    {
        var x = Rows(count, size, dice);
        return [.. Enumerable.Range(0, size).Select(i => Enumerable.Range(0, size).Select(j => x.Sum(row => row[i] * row[j])).ToArray())];
    }

    private static double[][] Multiply(double[][] a, double[][] b) =>
        [.. a.Select(row => Enumerable.Range(0, b[0].Length).Select(j => row.Select((value, k) => value * b[k][j]).Sum()).ToArray())];

    private static double[][] Clone(double[][] rows) => [.. rows.Select(row => (double[])row.Clone())];
}
