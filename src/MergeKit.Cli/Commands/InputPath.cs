using MergeKit.Core.Inputs;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Recipes;

namespace MergeKit.Cli.Commands;

/// <summary>Where a path in a recipe leads.</summary>
internal static class InputPath
{
    /// <summary>An earlier document's result, a path from the working directory, or one beside the recipe.</summary>
    public static string Resolve(string path, string recipeFile, PlanOptions options) =>
        options.NamedResults.TryGetValue(path, out var made) ? made : InputFile.Resolve(path, recipeFile, options);

    /// <summary>A model that a recipe names, as a text that opens it: hub ids looked up in the cache, adapters behind their model.</summary>
    public static string ResolveModel(ModelReference model, string recipeFile, PlanOptions options)
    {
        string Find(string path, string? revision) => ModelInput.Find(path, revision, written => Resolve(written, recipeFile, options));
        return model.Adapter is { } adapter ? $"{Find(model.Path, model.Revision)}+{Find(adapter, model.AdapterRevision)}" : Find(model.Path, model.Revision);
    }
}
