using MergeKit.Core.Numerics;
using MergeKit.Core.Recipes.Searching;
using MergeKit.Core.Search;
using MergeKit.Core.Search.Strategies;
using MergeKit.Core.Search.Trials;
using MergeKit.Core.Search.Tuning;

namespace MergeKit.Core.Tests.Search;

/// <summary>Searches with racing end where searches without it end, and score fewer items.</summary>
public sealed class RacedSearchTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static double[] Draw(int count, ulong seed)
    {
        var words = new uint[count];
        new CounterRandom(seed, "places", 0).Fill(0, words);
        return [.. words.Select(word => word / (double)uint.MaxValue)];
    }

    private SearchOutcome Run(ICandidateModels models, string yaml, bool racing, IReadOnlyList<TuningSet> sets, params IReadOnlyList<double> controls)
    {
        var search = Landscape.Document($"{yaml}\nracing: {(racing ? "true" : "false")}");
        using var trials = TrialJournal.Open(_folder.Join($"journal-{Guid.NewGuid():N}"), yaml);
        return SearchRunner.Run(search, models, sets, controls.Count > 0 ? controls : [.. sets.Select(_ => 0.0)], trials, null, TestContext.Current.CancellationToken);
    }

    [Theory]
    [InlineData(1, "strict")]
    [InlineData(2, "strict")]
    [InlineData(3, "non_worse")]
    [InlineData(4, "non_worse")]
    public void Greedy_soups_have_the_same_members(int seed, string accept)
    {
        var places = Draw(8, (ulong)seed).Select((draw, i) => (Name: $"m{i}", Place: (4 * draw) - 2)).ToDictionary(pair => pair.Name, pair => pair.Place);
        var yaml = $"search: greedy_soup\nmodels: [{string.Join(", ", places.Keys.Select(name => $"{{model: {name}}}"))}]\ntune: [{{data: a.txt}}]\naccept: {accept}\nseed: {seed}";
        var (raced, whole) = (new SoupWorld(places, 0.5), new SoupWorld(places, 0.5));
        var (with, without) = (Run(raced, yaml, true, [raced.Set(60)]), Run(whole, yaml, false, [whole.Set(60)]));
        Assert.Equal(without.Winner.Yaml, with.Winner.Yaml);
        Assert.Equal(without.Winner.Objective, with.Winner.Objective);
        Assert.All(without.Candidates, trial => Assert.True(trial.Scores.Complete));
        Assert.Contains(with.Candidates, trial => !trial.Scores.Complete);
        Assert.All(with.Candidates.Take(8), trial => Assert.True(trial.Scores.Complete, "a member's own score is an estimate")); // their order counts
        Assert.InRange(raced.Items, 1, whole.Items - 1);
    }

    private const string Scale = "search: scale\nbase_model: base\nmodels: [{model: m0}]\ntune: [{data: a.txt}]\n";

    [Theory]
    [InlineData(0.3, 1)]
    [InlineData(0.55, 2)]
    [InlineData(0.95, 3)]
    public void An_addition_has_the_same_scale(double best, int seed)
    {
        var (raced, whole) = (new Landscape(weights => 1 + Math.Pow(weights[0] - best, 2), 0.3), new Landscape(weights => 1 + Math.Pow(weights[0] - best, 2), 0.3));
        var (with, without) = (Run(raced, $"{Scale}seed: {seed}", true, [raced.Set("a", 40)]), Run(whole, $"{Scale}seed: {seed}", false, [whole.Set("a", 40)]));
        Assert.Equal(without.Winner.Values, with.Winner.Values);
        Assert.Contains(with.Candidates, trial => !trial.Scores.Complete);
        Assert.InRange(raced.Items, 1, whole.Items - 1);
    }

    [Theory]
    [InlineData(0.95)]
    [InlineData(0.9)]
    [InlineData(0.6)]
    public void A_negation_has_the_same_scale_and_gives_up_what_the_control_forbids(double keep)
    {
        var yaml = FormattableString.Invariant($"{Scale}task: negation\ncontrol: [{{data: c.txt}}]\nkeep: {keep}");
        Landscape World() => new(_ => 0, 0.1);
        IReadOnlyList<TuningSet> Sets(Landscape world) =>
            [world.Set("a", 40, other: weights => 1 - weights[0]), world.Set("c", 40, 0, weights => 1 + (weights[0] * weights[0]))];
        var (raced, whole) = (World(), World());
        var (with, without) = (Run(raced, yaml, true, Sets(raced), 0, 1), Run(whole, yaml, false, Sets(whole), 0, 1));
        Assert.Equal(without.Winner.Values, with.Winner.Values);
        Assert.NotEqual(0, with.Winner.Values[0]);
        Assert.Contains(with.Candidates, trial => !trial.Scores.Complete);
        Assert.Contains(with.Notes, note => note.Contains("given up early", StringComparison.Ordinal));
        Assert.InRange(raced.Items, 1, whole.Items - 1);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Nobody_whom_nsga2_gives_up_belongs_to_the_front(int seed)
    {
        static double A(IReadOnlyList<double> weights) => 1 + Math.Pow(weights[0] - 0.1, 2) + Math.Pow(weights[^1] - 0.5, 2);
        static double B(IReadOnlyList<double> weights) => 1 + Math.Pow(weights[0] - 0.9, 2) + Math.Pow(weights[^1] - 0.5, 2);
        var world = new Landscape(A, 0.1);
        IReadOnlyList<TuningSet> sets = [world.Set("a", 40), world.Set("b", 40, other: B)];
        var with = Run(world, Landscape.Free("nsga2", 3, $"candidates: 200\nseed: {seed}").Yaml, true, sets);
        var given = with.Candidates.Where(trial => !trial.Scores.Complete).ToList();
        Assert.InRange(given.Count, 10, 190);
        Assert.All(with.Front, trial => Assert.True(trial.Scores.Complete));
        var tuner = new Tuner(sets, (ulong)seed);
        foreach (var trial in given)
        {
            var scores = tuner.Score(world.Build("again", trial.Yaml), null, TestContext.Current.CancellationToken);
            Assert.True(with.Front.Any(member => Nsga2.Dominates(member.Scores.Losses, scores.Losses)), $"{trial.Label} is not dominated");
        }

        var other = new Landscape(A, 0.1);
        var without = Run(other, Landscape.Free("nsga2", 3, $"candidates: 200\nseed: {seed}").Yaml, false, [other.Set("a", 40), other.Set("b", 40, other: B)]);
        Assert.InRange(with.Winner.Objective, 0, without.Winner.Objective + 0.01);
        Assert.InRange(Area(with.Front), Area(without.Front) - 0.02, 4);
    }

    /// <summary>What a front of two losses dominates of the square up to (2, 2).</summary>
    private static double Area(IReadOnlyList<Trial> front)
    {
        var (area, above) = (0.0, 2.0);
        foreach (var losses in front.Select(trial => trial.Scores.Losses).OrderBy(losses => losses[0]).Where(losses => losses[0] < 2 && losses[1] < 2))
            (area, above) = (area + ((2 - losses[0]) * Math.Max(0, above - losses[1])), Math.Min(above, losses[1]));
        return area;
    }
}
