using MergeKit.Core.Inspection;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Tests.Inspection;

/// <summary>The vectorised sums against plain double loops.</summary>
public class ElementSumsTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(15)]
    [InlineData(16)]
    [InlineData(33)]
    [InlineData(1000)]
    public void Equal_plain_loops(int count)
    {
        var (a, b) = (Values(1, count), Values(2, count));
        var s = ElementSums.Of(a);
        var finite = a.Where(float.IsFinite).Select(v => (double)v).ToList();
        Assert.Equal((count, a.Count(float.IsNaN), a.Count(float.IsInfinity), a.Count(v => v == 0)), ((int)s.Count, (int)s.NaNs, (int)s.Infinities, (int)s.Zeros));
        Assert.Equal(finite.Sum(), s.Sum, 1e-9);
        Assert.Equal(finite.Sum(v => v * v), s.Squares, 1e-9);
        Assert.Equal((finite.DefaultIfEmpty(double.PositiveInfinity).Min(), finite.DefaultIfEmpty(double.NegativeInfinity).Max()), (s.Min, s.Max));

        var pairs = a.Zip(b).Where(p => float.IsFinite(p.First) && float.IsFinite(p.Second)).Select(p => (A: (double)p.First, B: (double)p.Second)).ToList();
        var d = ElementSums.Between(a, b);
        Assert.Equal(pairs.Count, d.Compared);
        Assert.Equal(pairs.Sum(p => (p.A - p.B) * (p.A - p.B)), d.DeltaSquares, 1e-9);
        Assert.Equal(pairs.Sum(p => p.A * p.B), d.Dot, 1e-9);
        Assert.Equal(pairs.Count(p => Math.Sign(p.A) == Math.Sign(p.B)), d.SignsAgree);
        Assert.Equal(pairs.Count(p => p.A == p.B), d.Equal);
    }

    private static float[] Values(int model, int count)
    {
        var words = new uint[count];
        new CounterRandom(9, "values", model).Fill(0, words);
        return [.. words.Select(word => (word % 16) switch { 0 => 0f, 1 => float.NaN, 2 => float.PositiveInfinity, 3 => -0f, 4 => 0.5f, _ => (int)word / 2147483648f })];
    }
}
