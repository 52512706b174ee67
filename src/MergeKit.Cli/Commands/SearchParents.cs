using MergeKit.Core.Diagnostics;
using MergeKit.Core.Recipes;
using MergeKit.Core.Recipes.Searching;

namespace MergeKit.Cli.Commands;

/// <summary>What searches take from the other documents of their file.</summary>
internal static class SearchParents
{
    /// <summary>Makes sure that what a search takes has weights.</summary>
    /// <exception cref="InputException">It takes an ensemble.</exception>
    public static void Check(IReadOnlyList<IRecipeDocument> documents)
    {
        var problems = (from search in documents.OfType<SearchRecipe>()
                        from model in search.AllModels()
                        where documents.Any(other => other is not (Recipe or SearchRecipe) && other.MakesModel && RecipeSet.Names(model, other))
                        select Problem.Error($"model '{model}' is an ensemble of this file, which has no weights that a search could merge", model.Location)).ToList();
        if (problems.Count > 0)
            throw new InputException(problems);
    }

    /// <summary>An order of documents with the searches, and what they take, as early as can be.</summary>
    public static IReadOnlyList<IRecipeDocument> First(IReadOnlyList<IRecipeDocument> order)
    {
        var early = order.OfType<SearchRecipe>().SelectMany(search => Used(search, order).Append(search)).ToHashSet();
        return [.. order.OrderBy(document => early.Contains(document) ? 0 : 1)];
    }

    /// <summary>The documents whose results a document uses, directly or through others.</summary>
    public static IReadOnlyList<IRecipeDocument> Used(IRecipeDocument document, IReadOnlyList<IRecipeDocument> documents)
    {
        var used = new List<IRecipeDocument>();
        for (IReadOnlyList<IRecipeDocument> next = RecipeSet.UsedBy(document, documents); next.Count > 0; next = [.. next.SelectMany(one => RecipeSet.UsedBy(one, documents)).Distinct()])
            used.AddRange(next.Except(used).ToList());
        return [.. documents.Where(used.Contains)];
    }
}
