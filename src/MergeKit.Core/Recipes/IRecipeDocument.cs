using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Recipes;

/// <summary>One document of a recipe file, of whatever kind.</summary>
public interface IRecipeDocument
{
    /// <summary>The file it came from, as the user named it.</summary>
    string File { get; }

    /// <summary>Its name, by which other documents of the file may use its result as a model; null if it has none.</summary>
    string? Name { get; }

    /// <summary>The document's own text, verbatim.</summary>
    string Yaml { get; }

    /// <summary>Where its name stands, or where it begins.</summary>
    SourceLocation Location { get; }

    /// <summary>Whether the document makes a model, which others may use and which may be the file's result.</summary>
    bool MakesModel => true;

    /// <summary>Every model that the document names, each once.</summary>
    IReadOnlyList<ModelReference> AllModels();
}
