using MergeKit.Core.Diagnostics;
using MergeKit.Core.Recipes.Yaml;

namespace MergeKit.Core.Recipes.Searching;

/// <summary>A number that a search may choose.</summary>
/// <param name="Name">Which model, parameter, filter and point of the curve: <c>ft-code.weight[mlp]#2</c>.</param>
/// <param name="Low">The least value.</param>
/// <param name="High">The greatest value.</param>
/// <param name="Start">Where the search begins.</param>
/// <param name="Steps">Values of a grid, both ends included.</param>
/// <param name="Logarithmic">Whether the range is divided evenly in logarithms.</param>
public sealed record SearchVariable(string Name, double Low, double High, double Start, int Steps = 5, bool Logarithmic = false)
{
    /// <summary>The value at <paramref name="position"/> of the range, 0 to 1.</summary>
    public double At(double position)
    {
        var place = Math.Clamp(position, 0, 1);
        var value = Logarithmic ? Math.Exp(Math.Log(Low) + (place * (Math.Log(High) - Math.Log(Low)))) : Low + (place * (High - Low));
        return Math.Clamp(value, Low, High);
    }

    /// <summary>Where in the range a value lies, 0 to 1.</summary>
    public double PositionOf(double value) => High <= Low ? 0
        : Logarithmic ? (Math.Log(value) - Math.Log(Low)) / (Math.Log(High) - Math.Log(Low)) : (value - Low) / (High - Low);
}

/// <summary>A merge recipe in which some parameters are marked as free: <c>weight: {search: [0, 1], start: 0.3}</c>.</summary>
public sealed class RecipeTemplate
{
    private readonly YamlNode _root;
    private readonly IReadOnlyDictionary<SourceLocation, int[]> _marks;

    internal RecipeTemplate(YamlNode root, IReadOnlyDictionary<SourceLocation, int[]> marks, IReadOnlyList<SearchVariable> variables)
    {
        (_root, _marks, Variables, Models) = (root, marks, variables, []);
        Start = RecipeReader.Parse(root.Location.File, Write([.. variables.Select(variable => variable.Start)]))[0];
        Models = Start.AllModels();
    }

    /// <summary>The free numbers, in the order of the text.</summary>
    public IReadOnlyList<SearchVariable> Variables { get; }

    /// <summary>Every model of the recipe.</summary>
    public IReadOnlyList<ModelReference> Models { get; }

    /// <summary>The recipe with every number at its start.</summary>
    public Recipe Start { get; }

    /// <summary>The text of the ordinary recipe with given numbers.</summary>
    public string Write(IReadOnlyList<double> values)
    {
        if (values.Count != Variables.Count)
            throw new ArgumentException($"{values.Count} values for {Variables.Count} variables", nameof(values));
        return YamlWriter.Write(Replace(_root, values));
    }

    private YamlNode Replace(YamlNode node, IReadOnlyList<double> values)
    {
        switch (node)
        {
            case YamlMapping mapping when _marks.TryGetValue(mapping.Location, out var variables) && mapping.Find(SearchMarks.Key) is not null:
                var builder = new YamlBuilder(mapping.Location);
                return variables.Length == 1 ? builder.Number(values[variables[0]]) : builder.List(variables.Select(index => builder.Number(values[index])));
            case YamlMapping mapping:
                return mapping with { Entries = [.. mapping.Entries.Select(entry => entry with { Value = Replace(entry.Value, values) })] };
            case YamlSequence sequence:
                return sequence with { Items = [.. sequence.Items.Select(item => Replace(item, values))] };
            default:
                return node;
        }
    }
}
