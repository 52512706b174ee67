using MergeKit.Core.Ensembles;

namespace MergeKit.Core.Tests.Ensembles;

/// <summary>The vector loops of single precision against double precision, at lengths around blocks and vectors.</summary>
public sealed class RowMathTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(33)]
    [InlineData(1023)]
    [InlineData(1024)]
    [InlineData(2059)]
    public void Sums_of_exponentials_are_those_of_double_precision(int length)
    {
        var row = Enumerable.Range(0, length).Select(i => i % 11 == 5 ? float.NegativeInfinity : (float)(Math.Sin(i * 12.9898) * (i % 3 == 0 ? 60 : 8)) + 500).ToArray();
        var wide = Array.ConvertAll(row, value => (double)value);
        var expected = wide.Max() + Math.Log(wide.Sum(value => Math.Exp(value - wide.Max())));
        Assert.Equal(expected, RowMath.LogSumExp<float>(row), 1e-6);
        Assert.Equal(expected, RowMath.LogSumExp<double>(wide), 1e-12);
    }

    [Fact]
    public void Values_that_are_no_numbers_are_refused_and_impossible_rows_told()
    {
        Assert.Equal(EnsembleError.NotANumber, Assert.Throws<EnsembleException>(() => RowMath.LogSumExp<float>([1, float.NaN, 2])).Error);
        Assert.Equal(EnsembleError.NotANumber, Assert.Throws<EnsembleException>(() => RowMath.LogSumExp<double>([1, double.PositiveInfinity])).Error);
        Assert.Equal(double.NegativeInfinity, RowMath.LogSumExp<float>([float.NegativeInfinity, float.NegativeInfinity]));
        Assert.Equal(EnsembleError.EmptySupport, Assert.Throws<EnsembleException>(() => RowMath.Normalize<float>([float.NegativeInfinity])).Error);
    }
}
