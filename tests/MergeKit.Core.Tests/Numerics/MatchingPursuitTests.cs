using MathNet.Numerics.LinearAlgebra;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Tests.Numerics;

/// <summary>Orthogonal matching pursuit against its plain form: residuals formed anew, least squares by QR, all in double precision.</summary>
public class MatchingPursuitTests
{
    [Theory]
    [InlineData(12, 30, 5)]
    [InlineData(40, 100, 16)]
    [InlineData(64, 20, 20)]
    public void Chooses_and_weighs_as_the_plain_form_does(int length, int count, int steps)
    {
        var random = new SplitMix((ulong)(length + count));
        var set = random.Array(length * count);
        foreach (var bytes in new[] { long.MaxValue, 0 })
        {
            var gram = Gram(set, length, bytes);
            var pursuit = new MatchingPursuit(gram, steps);
            for (var repeat = 0; repeat < 5; repeat++)
            {
                var target = random.Array(length);
                var expected = Plain(set, length, target, steps);
                var actual = pursuit.Approximate(target, Products(gram, target));
                Assert.Equal(expected.Select(term => term.Index), actual.Select(term => term.Index));
                Assert.All(expected.Zip(actual), pair => Assert.Equal(pair.First.Factor, pair.Second.Factor, 1e-3));
            }
        }
    }

    [Fact]
    public void Finds_a_sparse_combination_exactly()
    {
        var set = new SplitMix(3).Array(64 * 50);
        var gram = Gram(set, 64, long.MaxValue);
        var target = Enumerable.Range(0, 64).Select(i => 2f * set[7 * 64 + i] - 3f * set[31 * 64 + i]).ToArray();
        var terms = new MatchingPursuit(gram, 10).Approximate(target, Products(gram, target)).Where(term => Math.Abs(term.Factor) > 1e-4).ToDictionary(term => term.Index, term => term.Factor);
        Assert.Equal([7, 31], terms.Keys.Order());
        Assert.Equal(2, terms[7], 1e-4);
        Assert.Equal(-3, terms[31], 1e-4);
    }

    [Fact]
    public void Repeated_and_zero_vectors_do_no_harm()
    {
        var set = new float[6 * 4];
        (set[0], set[4], set[8], set[13]) = (1, 1, 1, 1); // e0 three times, e1, and two zeros
        var gram = Gram(set, 4, long.MaxValue);
        float[] target = [3, 2, 1, 0];
        var terms = new MatchingPursuit(gram, 6).Approximate(target, Products(gram, target));
        Assert.Equal([(0, 3f), (3, 2f)], terms);
        Assert.Empty(new MatchingPursuit(gram, 6).Approximate(new float[4], new float[6]));
    }

    [Theory]
    [InlineData(1, 1, 1)]
    [InlineData(3, 5, 7)]
    [InlineData(9, 50, 33)]
    [InlineData(100, 7, 130)]
    public void Products_of_rows_are_inner_products(int rows, int columns, int length)
    {
        var random = new SplitMix(5);
        var (a, b, c) = (random.Array(rows * length), random.Array(columns * length), new float[rows * columns]);
        RowProducts.Multiply(a, b, length, c);
        for (var i = 0; i < rows; i++)
            for (var j = 0; j < columns; j++)
                Assert.Equal(TensorMath.Dot(a.AsSpan(i * length, length), b.AsSpan(j * length, length)), c[i * columns + j], 1e-4);
        Assert.Throws<ArgumentException>(() => RowProducts.Multiply(a, b, length, new float[rows * columns - 1]));
    }

    private static GramRows Gram(float[] set, int length, long bytes)
    {
        var gram = new GramRows(set, length, bytes);
        gram.Fill(new ParallelOptions(), _ => { });
        return gram;
    }

    private static float[] Products(GramRows gram, float[] target)
    {
        var products = new float[gram.Count];
        RowProducts.Multiply(target, gram.All, gram.Length, products);
        return products;
    }

    private static List<(int Index, double Factor)> Plain(float[] set, int length, float[] target, int steps)
    {
        var vectors = Enumerable.Range(0, set.Length / length).Select(i => Vector<double>.Build.DenseOfEnumerable(set.Skip(i * length).Take(length).Select(value => (double)value))).ToList();
        var y = Vector<double>.Build.DenseOfEnumerable(target.Select(value => (double)value));
        var (chosen, residual, factors) = (new List<int>(), y, y);
        while (chosen.Count < steps)
        {
            chosen.Add(Enumerable.Range(0, vectors.Count).Except(chosen).MaxBy(i => Math.Abs(vectors[i] * residual)));
            var matrix = Matrix<double>.Build.DenseOfColumnVectors(chosen.Select(i => vectors[i]));
            factors = matrix.QR().Solve(y);
            residual = y - matrix * factors;
        }

        return [.. chosen.Select((index, i) => (index, factors[i]))];
    }
}
