using System.CommandLine;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Recipes;

namespace MergeKit.Cli.Commands;

/// <summary>Finds the document of a file that a command is about.</summary>
internal static class DocumentOf
{
    /// <summary>The only document of a kind.</summary>
    /// <exception cref="InputException">There is none, or several.</exception>
    public static T Kind<T>(ParseResult parsed, Argument<string> file, string key)
        where T : class, IRecipeDocument
    {
        var path = CommonOptions.Resolve(parsed, parsed.GetValue(file)!);
        T[] found = [.. RecipeReader.ReadDocuments(path).OfType<T>()];
        return found switch
        {
            [var one] => one,
            [] => throw new InputException($"{path}: no document with '{key}'"),
            _ => throw new InputException([Problem.Error($"{found.Length} documents with '{key}'; wanted one in a file", found[1].Location)]),
        };
    }

    /// <summary>Where a path in the document leads: from the working directory, or beside the document.</summary>
    public static string PathIn(IRecipeDocument document, string path, ParseResult parsed) =>
        InputPath.Resolve(path, document.File, CommonOptions.ToPlanOptions(parsed, null));
}
