using System.Text;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Recipes.Yaml;

namespace MergeKit.Core.Recipes;

/// <summary>Reads recipe files: mergekit's YAML, one or several documents, with every key checked against <see cref="RecipeKeys"/>.</summary>
public static class RecipeReader
{
    /// <summary>Reads a file.</summary>
    /// <param name="path">The file.</param>
    /// <returns>Its recipes in the order written; documents of a kind other than merges are left out.</returns>
    /// <exception cref="InputException">No such file, not YAML, or not a recipe; carries every problem found, with its place.</exception>
    /// <exception cref="EnvironmentException">The file cannot be read.</exception>
    public static IReadOnlyList<Recipe> Read(string path) => [.. ReadDocuments(path).OfType<Recipe>()];

    /// <summary>Reads the text of a recipe file.</summary>
    /// <param name="file">The name to use in messages.</param>
    /// <param name="text">The text.</param>
    /// <returns>Its recipes in the order written; documents of a kind other than merges are left out.</returns>
    /// <exception cref="InputException">Not YAML, or not a recipe; carries every problem found, with its place.</exception>
    public static IReadOnlyList<Recipe> Parse(string file, string text) => [.. ParseDocuments(file, text).OfType<Recipe>()];

    /// <summary>Reads a file with documents of any kind.</summary>
    /// <inheritdoc cref="Read" path="/exception"/>
    public static IReadOnlyList<IRecipeDocument> ReadDocuments(string path) => ParseDocuments(path, Load(path));

    /// <summary>Reads a text with documents of any kind.</summary>
    /// <inheritdoc cref="Parse" path="/exception"/>
    public static IReadOnlyList<IRecipeDocument> ParseDocuments(string file, string text)
    {
        var problems = new ProblemList();
        var yaml = YamlComposer.Compose(file, text, problems);
        if (yaml.Count == 0)
            throw new InputException([Problem.Error("the file is empty; wanted a recipe with at least 'merge_method' and 'models' or 'slices'", new SourceLocation(file, 1, 1))]);
        var documents = new List<IRecipeDocument>();
        foreach (var document in yaml)
        {
            var own = new ProblemList();
            if (DocumentKinds.Read(document, file, own) is { } read)
                documents.Add(read is Recipe recipe ? recipe with { Warnings = own.Warnings } : read);
            problems.AddRange(own);
        }

        if (problems.Errors == 0)
            RecipeSet.Check(documents, problems);
        problems.ThrowIfErrors();
        return documents;
    }

    private static string Load(string path)
    {
        if (Directory.Exists(path))
            throw new InputException($"{path}: this is a folder; wanted a recipe file");
        try
        {
            using var stream = File.OpenRead(path);
            var bytes = new byte[YamlLimits.Bytes + 1];
            var count = stream.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false);
            if (count > YamlLimits.Bytes)
                throw new InputException($"{path}: the file is larger than {YamlLimits.Bytes >> 20} MB, which no recipe needs");
            var start = bytes.AsSpan(0, count).StartsWith(Encoding.UTF8.Preamble) ? Encoding.UTF8.Preamble.Length : 0;
            return new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(bytes, start, count - start);
        }
        catch (DecoderFallbackException error)
        {
            throw new InputException($"{path}: the file is not UTF-8 text", error);
        }
        catch (Exception error) when (error is FileNotFoundException or DirectoryNotFoundException or ArgumentException or NotSupportedException or PathTooLongException)
        {
            throw new InputException($"{path}: there is no such recipe file", error);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new EnvironmentException($"{path}: the recipe file cannot be read: {error.Message}", error);
        }
    }
}
