using MergeKit.Core.Merging.Planning;

namespace MergeKit.Cli.Commands;

/// <summary>Where a path in a recipe leads.</summary>
internal static class InputPath
{
    /// <summary>An earlier document's result, a path from the working directory, or one beside the recipe.</summary>
    public static string Resolve(string path, string recipeFile, PlanOptions options) =>
        options.NamedResults.TryGetValue(path, out var made) ? made : InputFile.Resolve(path, recipeFile, options);
}
