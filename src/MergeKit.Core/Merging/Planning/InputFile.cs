namespace MergeKit.Core.Merging.Planning;

/// <summary>Finds the data files that recipes name.</summary>
public static class InputFile
{
    /// <summary>A path from the working directory, or beside the recipe.</summary>
    public static string Resolve(string path, string recipeFile, PlanOptions options)
    {
        var here = Path.Combine(options.WorkingDirectory, path);
        var beside = Path.GetDirectoryName(Path.GetFullPath(recipeFile, options.WorkingDirectory)) is { } folder ? Path.Combine(folder, path) : here;
        return Path.Exists(here) || !Path.Exists(beside) ? here : beside;
    }
}
