using MergeKit.Core.Search.Tuning;

namespace MergeKit.Core.Tests.Search;

/// <summary>Racing gives up what is clearly losing, and nothing else.</summary>
public class RacingTests
{
    private static (TuningScores Incumbent, TuningScores Candidate, Landscape World) Race(double incumbent, double candidate, double noise, int items = 40)
    {
        var world = new Landscape(weights => weights[0], noise);
        var tuner = new Tuner([world.Set("a", items), world.Set("b", items, 2)], 3);
        world.Build("i", Recipe(incumbent));
        var first = tuner.Score(null!, null, default);
        world.Build("c", Recipe(candidate));
        return (first, tuner.Score(null!, first, default), world);
    }

    private static string Recipe(double weight) => FormattableString.Invariant($"merge_method: linear\nmodels: [{{model: a, parameters: {{weight: {weight}}}}}]");

    [Fact]
    public void A_clear_loser_is_given_up_after_the_first_block_with_an_estimate_near_the_truth()
    {
        var (incumbent, candidate, world) = Race(1, 1.2, 0.3);
        Assert.True(incumbent.Complete);
        Assert.False(candidate.Complete);
        Assert.Equal(20, candidate.Items);
        Assert.Equal(100, world.Items);
        Assert.InRange(candidate.Objective, incumbent.Objective + 0.17, incumbent.Objective + 0.23);
    }

    [Theory]
    [InlineData(1.0)]
    [InlineData(0.99)]
    [InlineData(0.2)]
    public void What_is_as_good_or_better_is_scored_to_the_end(double candidate) => Assert.True(Race(1, candidate, 0.3).Candidate.Complete);

    [Fact]
    public void Too_few_items_are_not_judged()
    {
        var (_, candidate, _) = Race(1, 3, 0.3, items: 4);
        Assert.True(candidate.Complete || candidate.Items >= 6);
    }

    [Fact]
    public void The_order_of_scoring_does_not_change_a_complete_score()
    {
        var scores = new[] { 1UL, 2UL, 3UL }.Select(seed =>
        {
            var world = new Landscape(weights => weights[0], 0.4);
            world.Build("c", Recipe(1));
            return new Tuner([world.Set("a", 37)], seed).Score(null!, null, default).Objective;
        }).ToList();
        Assert.All(scores, score => Assert.Equal(scores[0], score, 1e-12));
    }
}
