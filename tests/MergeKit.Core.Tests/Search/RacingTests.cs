using MergeKit.Core.Search;
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
        return (first, tuner.Score(null!, new BestRace(first), default), world);
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

    /// <summary>Two sets whose losses are two numbers of a recipe, each with noise that models share; a front of complete scores, and a candidate raced by a rule.</summary>
    private static TuningScores Scored(Func<IReadOnlyList<TuningScores>, IRace>? rule, (double A, double B)[] front, (double A, double B) candidate, double controlled = 1)
    {
        var world = new Landscape(weights => weights[0], 0.2);
        var tuner = new Tuner([world.Set("a", 40, controlled), world.Set("b", 40, other: weights => weights[1])], 7);
        TuningScores Score((double A, double B) at, IRace? race)
        {
            world.Build("c", FormattableString.Invariant($"merge_method: linear\nmodels: [{{model: a, parameters: {{weight: {at.A}}}}}, {{model: b, parameters: {{weight: {at.B}}}}}]"));
            return tuner.Score(null!, race, default);
        }

        TuningScores[] complete = [.. front.Select(one => Score(one, null))];
        return Score(candidate, rule?.Invoke(complete));
    }

    [Theory]
    [InlineData(1.3, 1.6, false)] // worse than the second member at both
    [InlineData(0.9, 1.6, true)] // better than all at the first
    [InlineData(1.6, 0.9, true)]
    [InlineData(1.2, 1.5, true)] // the second member itself
    public void Only_who_is_dominated_leaves_the_race_for_the_front(double a, double b, bool complete) =>
        Assert.Equal(complete, Scored(front => new FrontRace(front), [(1, 1.9), (1.2, 1.5), (1.5, 1)], (a, b)).Complete);

    [Theory]
    [InlineData(1.2, true)]
    [InlineData(0.8, false)]
    public void Where_the_greater_loss_wins_the_smaller_one_is_given_up(double loss, bool complete) =>
        Assert.Equal(complete, Scored(front => new BestRace(front[0], ScoreDirection.Maximize), [(1, 1)], (loss, loss)).Complete);

    [Theory]
    [InlineData(1.4, false)]
    [InlineData(1.05, true)]
    [InlineData(0.5, true)]
    public void Who_cannot_hold_a_condition_is_given_up_whatever_else_it_scores(double loss, bool complete)
    {
        var scores = Scored(front => new AnyRace(new BestRace(front[0]), new ConditionRace(front[0], losses => losses[0] <= 1.1)), [(1, 1)], (loss, 0.1), controlled: 0);
        Assert.Equal(complete, scores.Complete);
        Assert.InRange(scores.Losses[0], loss - 0.1, loss + 0.1);
    }
}
