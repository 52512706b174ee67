using MergeKit.Core.Recipes.Searching;

namespace MergeKit.Core.Search.Spaces;

/// <summary>Recipes that differ in some numbers.</summary>
internal interface ISearchSpace
{
    /// <summary>The numbers.</summary>
    IReadOnlyList<SearchVariable> Variables { get; }

    /// <summary>The recipe of given values.</summary>
    string Write(IReadOnlyList<double> values);
}

/// <summary>A recipe with marks.</summary>
internal sealed class TemplateSpace(RecipeTemplate template) : ISearchSpace
{
    /// <inheritdoc/>
    public IReadOnlyList<SearchVariable> Variables => template.Variables;

    /// <inheritdoc/>
    public string Write(IReadOnlyList<double> values) => template.Write(values);
}
