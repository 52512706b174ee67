using MergeKit.Core.Search;

namespace MergeKit.Core.Tests.Search;

/// <summary>The best scale is found where the grid has it, between its points, and beyond its ends.</summary>
public class ScaleRefinementTests
{
    private static readonly double[] Grid = [0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1];

    [Theory]
    [InlineData(0.01, 0.005)] // below the least
    [InlineData(0.05, 0.005)]
    [InlineData(0.33, 0.02)] // between two
    [InlineData(0.7, 0.02)]
    [InlineData(1.4, 0.1)] // beyond the greatest
    public void The_best_scale_is_found(double best, double within)
    {
        var tried = new List<double>();
        var found = ScaleRefinement.Best(Grid, scale =>
        {
            tried.Add(scale);
            return Math.Pow(scale - best, 2);
        });
        Assert.InRange(found, best - within, best + within);
        Assert.Equal(tried.Count, tried.Distinct().Count());
        Assert.InRange(tried.Count, Grid.Length + 4, Grid.Length + 8);
        Assert.All(tried, scale => Assert.True(scale > 0));
    }

    [Fact]
    public void Scales_that_cannot_be_scored_lose() =>
        Assert.InRange(ScaleRefinement.Best(Grid, scale => scale > 0.5 ? double.NaN : -scale), 0.4, 0.5);
}
