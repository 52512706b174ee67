using System.CommandLine;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Recipes;
using MergeKit.Inference.Ensembles;

namespace MergeKit.Cli.Commands;

/// <summary>Finds the document of a file that a command is about.</summary>
internal static class DocumentOf
{
    /// <summary>The only document of a kind, and the documents among which it stands.</summary>
    /// <exception cref="InputException">There is none, or several.</exception>
    public static (T Document, RecipeScope Scope) Kind<T>(ParseResult parsed, Argument<string> file, string key)
        where T : class, IRecipeDocument
    {
        var path = CommonOptions.Resolve(parsed, parsed.GetValue(file)!);
        var documents = RecipeReader.ReadDocuments(path);
        T[] found = [.. documents.OfType<T>()];
        return found switch
        {
            [var one] => (one, new RecipeScope(path, documents)),
            [] => throw new InputException($"{path}: no document with '{key}'"),
            _ => throw new InputException([Problem.Error($"{found.Length} documents with '{key}'; wanted one in a file", found[1].Location)]),
        };
    }

    /// <summary>The command that a document of the file is for, where it is not 'mergekit run'.</summary>
    public static string? CommandFor(IReadOnlyList<IRecipeDocument> documents) =>
        documents.Any(document => document is CascadeRecipe) ? "mergekit cascade" : documents.Any(document => document is StagesRecipe) ? "mergekit stages" : null;

    /// <summary>Where a path in the document leads: from the working directory, or beside the document.</summary>
    public static string PathIn(IRecipeDocument document, string path, ParseResult parsed) =>
        InputPath.Resolve(path, document.File, CommonOptions.ToPlanOptions(parsed, null));
}
