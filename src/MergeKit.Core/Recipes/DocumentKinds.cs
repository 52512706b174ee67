using MergeKit.Core.Recipes.Searching;
using MergeKit.Core.Recipes.Yaml;

namespace MergeKit.Core.Recipes;

/// <summary>Reads one document of a kind; null when something in it is wrong, which is then among the problems.</summary>
internal delegate IRecipeDocument? DocumentRead(YamlDocument document, string file, ProblemList problems);

/// <summary>A kind of document that a recipe file may hold.</summary>
/// <param name="Key">The key by which it is known.</param>
/// <param name="Title">What it is, for messages.</param>
/// <param name="Read">Reads one; null while the kind is only recognised and refused by name.</param>
internal sealed record DocumentKind(string Key, string Title, DocumentRead? Read = null);

/// <summary>The kinds of documents. A further kind is one file with its key table and its reading, and its line here.</summary>
internal static class DocumentKinds
{
    private static readonly DocumentKind[] All =
    [
        CollapseDocument.Kind,
        MergeDocument.Kind,
        .. MoeDocument.Kinds,
        EnsembleDocument.Kind,
        EvaluateDocument.Kind,
        CascadeDocument.Kind,
        StagesDocument.Kind,
        SearchDocument.Kind,
        GenomeDocument.Kind,
    ];

    /// <summary>Reads a document by its kind. One without any known mark is taken for a merge, whose reader then says what is missing.</summary>
    public static IRecipeDocument? Read(YamlDocument document, string file, ProblemList problems)
    {
        var mapping = document.Root as YamlMapping;
        var kind = All.FirstOrDefault(candidate => mapping?.Find(candidate.Key) is not null) ?? MergeDocument.Kind;
        if (kind.Read is not null)
            return kind.Read(document, file, problems);
        problems.Error(
            $"'{kind.Key}' makes this {kind.Title}, which is not built yet; a merge recipe has 'merge_method'",
            mapping!.Find(kind.Key)!.Key.Location);
        return null;
    }
}
