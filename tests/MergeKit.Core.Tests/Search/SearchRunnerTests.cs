using MergeKit.Core.Diagnostics;
using MergeKit.Core.Recipes;
using MergeKit.Core.Search;
using MergeKit.Core.Search.Trials;

namespace MergeKit.Core.Tests.Search;

/// <summary>Every kind of search on landscapes whose optimum is known, and what every search must hold: it ends in a recipe, resumes to the same result, keeps its budget.</summary>
public sealed class SearchRunnerTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private string Journal(string name = "journal") => _folder.Join(name, "journal.jsonl");

    private static double Bowl(IReadOnlyList<double> weights) => 1 + weights.Select((weight, i) => Math.Pow(weight - (0.2 + (0.2 * i)), 2)).Sum();

    [Theory]
    [InlineData("cma_es", 150, 1e-3)]
    [InlineData("random", 150, 0.05)]
    public void Finds_the_bottom_of_a_bowl(string kind, int candidates, double tolerance)
    {
        var world = new Landscape(Bowl);
        var outcome = world.Run(Landscape.Free(kind, 3, $"candidates: {candidates}\nseed: 3"), Journal(), [world.Set("a", 24)]);
        Assert.InRange(outcome.Winner.Objective, 1, 1 + tolerance);
        Assert.InRange(outcome.Candidates.Count(), 1, candidates);
        Assert.Equal(outcome.Winner.Values, RecipeReader.Parse("w", outcome.Winner.Yaml)[0].Modules[0].Slices[0].Sources.Select(source => source.Parameters.Resolve("weight", "", 0)!.Value));
    }

    [Fact]
    public void A_grid_visits_every_point_once_and_finds_the_best()
    {
        var world = new Landscape(Bowl);
        var outcome = world.Run(Landscape.Free("grid", 3, "candidates: 27"), Journal(), [world.Set("a", 8)]);
        Assert.Equal(27, outcome.Candidates.Select(trial => string.Join(' ', trial.Values)).Distinct().Count());
        Assert.Equal([0.0, 0.5, 0.5], outcome.Winner.Values);
    }

    [Fact]
    public void A_grid_beyond_the_budget_is_refused_by_its_numbers()
    {
        var world = new Landscape(Bowl);
        var error = Assert.Throws<InputException>(() => world.Run(Landscape.Free("grid", 3, "candidates: 26"), Journal(), [world.Set("a", 8)]));
        Assert.Contains("27 points (3 x 3 x 3)", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Nsga2_finds_a_front_between_two_optima()
    {
        var world = new Landscape(Bowl);
        var outcome = world.Run(Landscape.Free("nsga2", 2, "candidates: 300\nseed: 1"), Journal(), [
            world.Set("a", 8, other: weights => Math.Pow(weights[0] - 0.1, 2) + Math.Pow(weights[^1] - 0.5, 2)),
            world.Set("b", 8, other: weights => Math.Pow(weights[0] - 0.9, 2) + Math.Pow(weights[^1] - 0.5, 2))]);
        Assert.InRange(outcome.Front.Count, 10, 300);
        Assert.All(outcome.Front, trial => Assert.InRange(trial.Values[1], 0.3, 0.7));
        Assert.InRange(outcome.Front.Max(trial => trial.Values[0]) - outcome.Front.Min(trial => trial.Values[0]), 0.5, 1);
        for (var i = 1; i < outcome.Front.Count; i++)
            Assert.True(outcome.Front[i].Scores.Losses[0] >= outcome.Front[i - 1].Scores.Losses[0] && outcome.Front[i].Scores.Losses[1] <= outcome.Front[i - 1].Scores.Losses[1]);
    }

    private static string Soup(string kind, string more = "") => $"search: {kind}\nmodels: [{{model: m0}}, {{model: m1}}, {{model: m2}}]\ntune: [{{data: a.txt}}]\n{more}";

    /// <summary>The loss of a mean: the squared distance of the mean position from 0, for models at the given places.</summary>
    private static Func<IReadOnlyList<double>, double> Places(params double[] places) => weights =>
        1 + Math.Pow(weights.Select((weight, i) => weight * places[i]).Sum() / weights.Sum(), 2);

    [Fact]
    public void A_greedy_soup_is_at_least_as_good_as_its_best_member()
    {
        // A soup's recipe lists only its members, so the place of a member follows from its name.
        var places = new Dictionary<string, double> { ["m0"] = 3, ["m1"] = -2, ["m2"] = 100 };
        var world = new SoupWorld(places);
        using var trials = TrialJournal.Open(Journal(), "soup");
        var outcome = SearchRunner.Run(Landscape.Document(Soup("greedy_soup")), world, [world.Set(2)], [0], trials, null, TestContext.Current.CancellationToken);
        var members = RecipeReader.Parse("w", outcome.Winner.Yaml)[0].AllModels().Select(model => model.Path);
        Assert.Equal(["m1", "m0"], members);
        Assert.Equal(1.25, outcome.Winner.Objective, 9);
        Assert.All(outcome.References, trial => Assert.True(trial.Objective >= outcome.Winner.Objective, trial.Label));
        Assert.Equal(["m0", "m1", "m2", "uniform soup"], outcome.References.Select(trial => trial.Label));
        Assert.Equal(5, outcome.Line.Count());
    }

    [Fact]
    public void A_learned_soup_finds_weights_that_no_subset_has()
    {
        var world = new Landscape(Places(3, -1, 10));
        var outcome = world.Run(Landscape.Document(Soup("learned_soup", "candidates: 200")), Journal(), [world.Set("a", 8)]);
        Assert.InRange(outcome.Winner.Objective, 1, 1.001);
        Assert.Equal(1, RecipeReader.Parse("w", outcome.Winner.Yaml)[0].Modules[0].Slices[0].Sources.Sum(source => source.Parameters.Resolve("weight", "", 0)!.Value), 9);
    }

    private const string Scale = "search: scale\nbase_model: base\nmodels: [{model: m0}]\ntune: [{data: a.txt}]\nscales: [0.2, 0.4, 0.6, 0.8]\n";

    [Fact]
    public void A_negation_forgets_as_much_as_the_control_allows()
    {
        var world = new Landscape(Bowl);
        var outcome = world.Run(Landscape.Document(Scale + "task: negation\ncontrol: [{data: c.txt}]\nkeep: 0.9"), Journal(),
            [world.Set("a", 8, other: weights => 1 - weights[0]), world.Set("c", 8, 0, weights => 1 + (weights[0] * weights[0]))], controls: [0, 1]);
        // 1 / (1 + s^2) >= 0.9 holds up to s = 0.333.
        Assert.Equal([0.2], outcome.Winner.Values);
        Assert.Contains("weight: -0.2", outcome.Winner.Yaml, StringComparison.Ordinal);
    }

    [Fact]
    public void An_addition_takes_the_best_scale_and_always_tries_none()
    {
        var world = new Landscape(weights => 1 + Math.Pow(weights[0] - 0.55, 2));
        var outcome = world.Run(Landscape.Document(Scale), Journal(), [world.Set("a", 8)]);
        Assert.Equal([0.6], outcome.Winner.Values);
        Assert.Equal([0, 0.2, 0.4, 0.6, 0.8], outcome.Candidates.Select(trial => trial.Values[0]));
    }

    [Fact]
    public void An_analogy_subtracts_the_first_model()
    {
        var world = new Landscape(weights => 1 + weights.Sum());
        var outcome = world.Run(Landscape.Document(Scale.Replace("{model: m0}", "{model: a}, {model: b}, {model: c}", StringComparison.Ordinal) + "task: analogy"), Journal(), [world.Set("a", 8)]);
        Assert.Equal(5, outcome.Candidates.Count());
        Assert.Equal([-0.8, 0.8, 0.8], RecipeReader.Parse("w", outcome.Candidates.Last().Yaml)[0].Modules[0].Slices[0].Sources.Select(source => source.Parameters.Resolve("weight", "", 0)!.Value));
    }

    [Theory]
    [InlineData("cma_es")]
    [InlineData("random")]
    [InlineData("nsga2")]
    public void An_interrupted_search_goes_on_to_the_same_result(string kind)
    {
        var search = Landscape.Free(kind, 3, "candidates: 60\nseed: 9");
        var whole = Run(Journal("whole"), int.MaxValue);
        foreach (var stop in new[] { 1, 7, 33, 59, 62 })
        {
            var journal = Journal($"stopped-{stop}");
            Assert.Throws<OperationCanceledException>(() => Run(journal, stop));
            var world = Run(journal, int.MaxValue, whole.Outcome);
            Assert.Equal(whole.World.Built - stop, world.World.Built);
        }

        (SearchOutcome Outcome, Landscape World) Run(string journal, int stop, SearchOutcome? wanted = null)
        {
            var world = new Landscape(Bowl, 0.1);
            using var cancel = new CancellationTokenSource();
            var seen = 0;
            var outcome = world.Run(search, journal, [world.Set("a", 24), world.Set("b", 24, other: weights => Bowl(weights) + weights[0])], _ =>
            {
                if (++seen == stop)
                    cancel.Cancel();
            }, stop: cancel.Token);
            if (wanted is not null)
            {
                Assert.Equal(wanted.Winner.Yaml, outcome.Winner.Yaml);
                Assert.Equal(wanted.Trials.Select(trial => (trial.Yaml, trial.Objective, trial.Scores.Items)), outcome.Trials.Select(trial => (trial.Yaml, trial.Objective, trial.Scores.Items)));
            }

            return (outcome, world);
        }
    }

    [Fact]
    public void A_journal_that_was_cut_off_or_belongs_to_another_search_does_no_harm()
    {
        var search = Landscape.Free("random", 2, "candidates: 20");
        var world = new Landscape(Bowl);
        var wanted = world.Run(search, Journal(), [world.Set("a", 8)]);
        var bytes = File.ReadAllBytes(Journal());
        foreach (var length in new[] { 0, 10, bytes.Length / 2, bytes.Length - 1 })
        {
            Directory.CreateDirectory(_folder.Join("cut"));
            File.WriteAllBytes(Journal("cut"), bytes[..length]);
            world = new Landscape(Bowl);
            Assert.Equal(wanted.Winner.Yaml, world.Run(search, Journal("cut"), [world.Set("a", 8)]).Winner.Yaml);
            Assert.Equal(bytes, File.ReadAllBytes(Journal("cut")));
        }

        using (var other = TrialJournal.Open(Journal("cut"), "something else"))
            Assert.Equal(0, other.Resumed);
    }

    [Fact]
    public void Two_processes_cannot_write_one_journal()
    {
        using var first = TrialJournal.Open(Journal(), "x");
        Assert.Contains("cannot be opened", Assert.Throws<EnvironmentException>(() => TrialJournal.Open(Journal(), "x")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Candidates_that_cannot_be_built_are_noted_and_lose()
    {
        var world = new Landscape(weights => weights[0] == 0.5 ? double.NaN : 1 + weights[0]);
        var outcome = world.Run(Landscape.Free("grid", 1, "candidates: 3"), Journal(), [world.Set("a", 8)]);
        Assert.Equal([0.0], outcome.Winner.Values);
        Assert.Equal("its numbers are not finite", Assert.Single(outcome.Candidates, trial => trial.Failure is not null).Failure);
        var broken = new Landscape(_ => double.NaN);
        Assert.Contains("no candidate could be scored", Assert.Throws<InputException>(() => broken.Run(Landscape.Free("grid", 1, "candidates: 3"), Journal("none"), [broken.Set("a", 8)])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Importance_goes_to_the_variables_that_matter()
    {
        var world = new Landscape(weights => weights.Count < 4 ? 2 : 1 + (5 * Math.Pow(weights[1] - 0.4, 2)) + (0.01 * weights[2]));
        var outcome = world.Run(Landscape.Free("random", 4, "candidates: 100\nracing: false"), Journal(), [world.Set("a", 8)]);
        Assert.Equal("m1.weight", outcome.Importance[0].Variable);
        Assert.InRange(outcome.Importance[0].Share, 0.9, 1);
        Assert.InRange(outcome.ImportanceFit, 0.95, 1);
    }

    /// <summary>Means of models at places on a line; the loss is the squared distance from 0.</summary>
}
