using MergeKit.Core.Numerics;

namespace MergeKit.Core.Tests.Numerics;

/// <summary>Normal numbers: moments, and the same ones from any starting point.</summary>
public class CounterGaussianTests
{
    [Fact]
    public void Has_the_moments_of_a_standard_normal()
    {
        var values = new float[1 << 18];
        new CounterGaussian(7, "t", 0).Fill(0, values);
        Assert.InRange(values.Average(), -0.01, 0.01);
        Assert.InRange(values.Average(v => (double)v * v), 0.99, 1.01);
        Assert.InRange(values.Average(v => Math.Pow(v, 3)), -0.05, 0.05);
        Assert.InRange(values.Average(v => Math.Pow(v, 4)), 2.9, 3.1);
        Assert.InRange(values.Count(v => Math.Abs(v) > 3) / (double)values.Length, 0.0022, 0.0032); // 0.0027
    }

    [Fact]
    public void Depends_on_the_element_only()
    {
        var (whole, part) = (new float[5000], new float[777]);
        new CounterGaussian(7, "t", 1).Fill(0, whole);
        new CounterGaussian(7, "t", 1).Fill(1234, part);
        Assert.Equal(whole[1234..2011], part);
        new CounterGaussian(7, "t", 2).Fill(1234, part);
        Assert.NotEqual(whole[1234], part[0]);
    }
}
