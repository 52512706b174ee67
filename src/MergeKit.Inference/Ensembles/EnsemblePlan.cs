using MergeKit.Core.Diagnostics;
using MergeKit.Core.Recipes;
using MergeRecipe = MergeKit.Core.Recipes.Recipe;

namespace MergeKit.Inference.Ensembles;

/// <summary>A member as planned.</summary>
/// <param name="Model">As the recipe names it.</param>
/// <param name="Kind">What it is: a model, another ensemble, a merge that is made when it is run.</param>
/// <param name="Role">Its part, where the rule names parts.</param>
/// <param name="Weight">Its weight or lambda, where the rule has them.</param>
/// <param name="Passes">How often it is run at every step.</param>
public sealed record PlannedMember(string Model, string Kind, string? Role, double? Weight, int Passes);

/// <summary>What an ensemble would be, found out from headers, configurations and tokenizers alone.</summary>
/// <param name="Recipe">The recipe.</param>
/// <param name="Members">Its members.</param>
/// <param name="WeightBytes">Bytes of weights that one step reads.</param>
/// <param name="Problems">What is wrong.</param>
public sealed record EnsemblePlan(EnsembleRecipe Recipe, IReadOnlyList<PlannedMember> Members, long WeightBytes, IReadOnlyList<Problem> Problems)
{
    /// <summary>Whether nothing is wrong.</summary>
    public bool IsExecutable => Problems.All(problem => problem.Severity != Severity.Error);

    /// <summary>Plans. Members that are merges not made yet are not looked into; they have plans of their own.</summary>
    public static EnsemblePlan Of(EnsembleRecipe recipe, RecipeScope scope, ModelOpener opener)
    {
        var (problems, bytes) = (new List<Problem>(), 0L);
        if (recipe.Members.Any(member => Find(member, scope) is MergeRecipe))
            bytes = CheckFolders(recipe, scope, opener, problems);
        else
            try
            {
                using var opened = opener.Open(recipe, scope, recipe.Name ?? "result");
                bytes = opened.WeightBytes;
            }
            catch (InputException e)
            {
                problems.AddRange(e.Problems);
            }

        return new EnsemblePlan(recipe, [.. recipe.Members.Select(member => Plan(recipe, member, scope))], bytes, problems);
    }

    private static PlannedMember Plan(EnsembleRecipe recipe, EnsembleMember member, RecipeScope scope) => new(
        member.Model.ToString(), Find(member, scope) switch { EnsembleRecipe => "an ensemble of this file", MergeRecipe => "a merge of this file", _ => "a model" },
        recipe.Rule.Roles.Count > 0 ? member.Role ?? EnsembleRules.BaseRole : null, recipe.Rule.HasWeights ? member.Weight ?? (recipe.Rule.TakesNegativeWeights ? 1.0 / recipe.Members.Count : 1) : null,
        member.Dropout?.Passes ?? 1);

    private static IRecipeDocument? Find(EnsembleMember member, RecipeScope scope) => scope.Documents.FirstOrDefault(other => RecipeSet.Names(member.Model, other));

    private static long CheckFolders(EnsembleRecipe recipe, RecipeScope scope, ModelOpener opener, List<Problem> problems)
    {
        var bytes = 0L;
        foreach (var member in recipe.Members.Where(member => Find(member, scope) is null))
        {
            try
            {
                using var opened = opener.Open(member.Model, scope, member.Model.ToString());
                bytes += opened.WeightBytes;
            }
            catch (InputException e)
            {
                problems.AddRange(e.Problems);
            }
        }

        return bytes;
    }
}
