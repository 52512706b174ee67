using MergeKit.Inference.Backends.Gradients;

namespace MergeKit.Inference.Tests.Backends.Gradients;

/// <summary>Arrays come back as zeros, and no more are kept than one pass needs.</summary>
public sealed class KeptArraysTests
{
    [Fact]
    public void Arrays_are_taken_over_as_zeros_and_surplus_is_let_go()
    {
        var arrays = new KeptArrays();
        var (first, second) = (arrays.Take(5), arrays.Take(5));
        Assert.NotSame(first, second);
        first[3] = 7;
        arrays.Give(first);
        arrays.Give(second);
        arrays.Trim(); // two were out at once
        var (third, fourth) = (arrays.Take(5), arrays.Take(5));
        Assert.True(ReferenceEquals(third, first) || ReferenceEquals(third, second));
        Assert.True(ReferenceEquals(fourth, first) || ReferenceEquals(fourth, second));
        Assert.All(third.Concat(fourth), value => Assert.Equal(0, value));
        arrays.Give(third);
        arrays.Give(fourth);
        arrays.Trim();
        arrays.Give(arrays.Take(5));
        arrays.Trim(); // one was
        Assert.NotSame(arrays.Take(5), arrays.Take(5));
        var other = arrays.Take(6);
        Assert.Equal(6, other.Length);
        arrays.Give([]);
    }
}
