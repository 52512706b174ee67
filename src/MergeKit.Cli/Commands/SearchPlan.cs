using System.Globalization;
using MergeKit.Core.Recipes;
using MergeKit.Core.Recipes.Searching;
using MergeKit.Inference.Searching;

namespace MergeKit.Cli.Commands;

/// <summary>What <c>mergekit plan</c> can say of a search before it is run.</summary>
internal static class SearchPlan
{
    /// <summary>For every search document the recipe that it begins with (a mean of all models, where it chooses among them), under the document's name.</summary>
    public static IEnumerable<Recipe> Starts(IReadOnlyList<IRecipeDocument> documents, TextWriter error)
    {
        foreach (var search in documents.OfType<SearchRecipe>())
        {
            var free = search.Template?.Variables ?? [];
            error.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"note: {search.KindName}: at most {search.MostCandidates} candidates over {search.AllModels().Count} models, tuned on {search.Tune.Count} data sets; planned here is where it begins"));
            foreach (var variable in free)
                error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"note:   {variable.Name}: {variable.Low} to {variable.High}, from {variable.Start}"));
            yield return (search.Template?.Start ?? SearchJob.AllModels(search)) with { Name = search.Name };
        }
    }
}
