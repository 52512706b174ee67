using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Moe.Planning;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Moe;

/// <summary>Plans any document that makes a model: a merge, a mixture of experts, or the collapse of one.</summary>
public static class RecipePlanner
{
    /// <summary>Decides every output tensor from headers and configurations alone.</summary>
    public static MergePlan Plan(Recipe recipe, PlanOptions options) =>
        recipe.Moe is not null ? MoePlanner.Plan(recipe, options)
        : recipe.Collapse is not null ? CollapsePlanner.Plan(recipe, options)
        : MergePlanner.Plan(recipe, options);
}
