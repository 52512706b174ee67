using MergeKit.Core.Numerics;

namespace MergeKit.Core.Tests.Numerics;

/// <summary>Whole-row sums against plain loops in the stated order: other processors rely on every bit of it.</summary>
public class TensorMathTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(31)]
    [InlineData(32)]
    [InlineData(95)]
    [InlineData(16384)]
    public void Sums_have_the_bits_of_32_lanes(int length)
    {
        var words = new uint[2 * length];
        new CounterRandom(5, "sums", 0).Fill(0, words);
        var x = words.Take(length).Select(word => ((int)word / 2147483648f) * 3).ToArray();
        var y = words.Skip(length).Select(word => ((int)word / 2147483648f) * 0.1f).ToArray();
        Assert.Equal(InLanes(length, i => (double)x[i] * y[i]), TensorMath.Dot(x, y));
        Assert.Equal(InLanes(length, i => Math.Abs(x[i])), TensorMath.SumOfMagnitudes(x));
    }

    private static double InLanes(int length, Func<int, double> term)
    {
        var lanes = new double[32];
        var body = length / 32 * 32;
        for (var i = 0; i < body; i++)
            lanes[i % 32] += term(i);
        var sum = 0.0;
        for (var i = 0; i < 8; i++)
            sum += lanes[i] + lanes[8 + i] + (lanes[16 + i] + lanes[24 + i]);
        for (var i = body; i < length; i++)
            sum += term(i);
        return sum;
    }
}
