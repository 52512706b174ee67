using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Models;
using MergeKit.Core.Recipes;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Tests.Runtime;

/// <summary>A merge that exists only in memory scores as the written checkpoint does, bit for bit, and becomes another merge in place.</summary>
public class MergedModelTests
{
    private static readonly int[] Ids = [0, 51, 290, 7, 1033, 412, 2, 90, 1500, 33];

    [Theory]
    [InlineData(0.3)]
    [InlineData(0.9)]
    public void It_scores_like_the_written_checkpoint(double weight)
    {
        using var plan = Plan(weight);
        using var scratch = new TemporaryFolder();
        new MergeRunner(plan, new MergeProgress()).Run(scratch.Join("out"), ResumeMode.Never, _ => new Dictionary<string, string>(), default);
        using var written = LanguageModel.Open(scratch.Join("out"), 2);
        using var merged = MergedModel.Open("merge", plan, threads: 2);
        Assert.Equal(Score(written), Score(merged.Model));
    }

    [Fact]
    public void It_becomes_the_next_merge_in_place()
    {
        using var first = Plan(0.2);
        using var second = MergePlanner.Replan(first, Recipe(0.7));
        using var wanted = MergedModel.Open("second", second, threads: 2);
        using var model = MergedModel.Open("first", first, threads: 2);
        var before = Score(model.Model);
        model.Rebuild(second);
        Assert.Equal(Score(wanted.Model), Score(model.Model));
        model.Rebuild(first);
        Assert.Equal(before, Score(model.Model));
        Assert.NotEqual(before, Score(wanted.Model));
    }

    [Fact]
    public void Unrounded_weights_are_close_but_other_numbers()
    {
        using var plan = Plan(0.37);
        using var rounded = MergedModel.Open("rounded", plan, threads: 2);
        using var exact = MergedModel.Open("exact", plan, MemoryPrecision.Float32, threads: 2);
        var (a, b) = (Score(rounded.Model), Score(exact.Model));
        Assert.NotEqual(a, b);
        Assert.All(a.Zip(b), pair => Assert.Equal(pair.First, pair.Second, 0.1f));
    }

    [Fact]
    public void A_plan_of_other_tensors_is_refused_and_changes_nothing()
    {
        using var plan = Plan(0.5);
        using var model = MergedModel.Open("merge", plan, threads: 2);
        var before = Score(model.Model);
        using var other = MergePlanner.Replan(plan, Recipe(0.5, "float32"));
        Assert.Contains("float32", Assert.Throws<InputException>(() => model.Rebuild(other)).Message);
        Assert.Equal(before, Score(model.Model));
    }

    [Fact]
    public void A_model_that_was_not_opened_cannot_be_planned_again()
    {
        using var plan = Plan(0.5);
        var recipe = RecipeReader.Parse("r.yml", $"merge_method: linear\nmodels: [{{model: '{Nano("ft-man")}', parameters: {{weight: 1}}}}]")[0];
        using var other = MergePlanner.Replan(plan, recipe);
        Assert.Contains("ft-man", Assert.Single(other.Problems, problem => problem.Severity == Severity.Error).Message);
    }

    private static string Nano(string name) => Path.Combine(TrainedModels.Root, "nano", name);

    private static float[] Score(ILanguageModel model) => model.Score([new ScoreRequest(Ids.AsMemory(0, 1), Ids.AsMemory(1))])[0].LogProbs;

    private static MergePlan Plan(double weight) => MergePlanner.Plan(Recipe(weight), new PlanOptions { Threads = 2 });

    private static Recipe Recipe(double weight, string type = "bfloat16") => RecipeReader.Parse("recipe.yml", FormattableString.Invariant($$$"""
        merge_method: task_arithmetic
        base_model: {{{Nano("base")}}}
        models:
        - {model: "{{{Nano("ft-code")}}}", parameters: {weight: {{{weight}}}}}
        dtype: float32
        out_dtype: {{{type}}}
        """))[0];
}
