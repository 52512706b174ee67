using System.IO.Hashing;
using MergeKit.Core.Diagnostics;

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

    /// <summary>The path and a digest of what the file holds, so that equal keys mean equal contents; without a digest where there is no such file.</summary>
    /// <exception cref="EnvironmentException">The file cannot be read.</exception>
    public static string ContentKey(string path)
    {
        if (!File.Exists(path))
            return $"{path} -";
        try
        {
            var hash = new XxHash128();
            using var file = File.OpenRead(path);
            hash.Append(file);
            return $"{path} {Convert.ToHexStringLower(hash.GetCurrentHash())}";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new EnvironmentException($"{path}: cannot be read: {e.Message}", e);
        }
    }
}
