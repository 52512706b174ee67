using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Tests.Merging.Execution;

/// <summary>Plans and runs a recipe in this process.</summary>
internal static class InProcessMerge
{
    public static MergePlan Plan(string recipe, PlanOptions? options = null)
    {
        var plan = MergePlanner.Plan(RecipeReader.Parse("recipe.yml", recipe)[0], options ?? new PlanOptions());
        Assert.True(plan.IsExecutable, string.Join("\n", plan.Problems));
        return plan;
    }

    public static MergeResult Run(string recipe, string output, PlanOptions? options = null, ResumeMode resume = ResumeMode.WhenSame)
    {
        using var plan = Plan(recipe, options);
        return Run(plan, output, resume);
    }

    public static MergeResult Run(MergePlan plan, string output, ResumeMode resume = ResumeMode.WhenSame, CancellationToken cancellation = default) =>
        new MergeRunner(plan, new MergeProgress()).Run(output, resume, _ => new Dictionary<string, string>(), cancellation);

    /// <summary>A linear merge of two models.</summary>
    public static string Linear(string first, string second) => $$$"""
        merge_method: linear
        models:
        - {model: "{{{first}}}", parameters: {weight: 0.6}}
        - {model: "{{{second}}}", parameters: {weight: 0.4}}
        """;
}
