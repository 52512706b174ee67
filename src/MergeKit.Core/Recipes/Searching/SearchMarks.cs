using MergeKit.Core.Diagnostics;
using MergeKit.Core.Recipes.Yaml;

namespace MergeKit.Core.Recipes.Searching;

/// <summary>Finds the marked parameters of a recipe.</summary>
internal sealed class SearchMarks(ProblemList problems)
{
    /// <summary>The key that makes a mapping a mark.</summary>
    public const string Key = "search";

    private const int MostPoints = 1000;
    private const int MostVariables = 10_000;
    private readonly Dictionary<SourceLocation, int[]> _marks = [];
    private readonly Dictionary<string, (int[] Variables, SearchVariable First)> _shared = new(StringComparer.Ordinal);
    private readonly List<SearchVariable> _variables = [];

    /// <summary>The keys of a mark.</summary>
    public static KeyTable Table { get; } = new("searchMark", "a marked parameter",
    [
        new(Key, KeyType.NumberRange, "The range [least, greatest] of the values.", Required: true),
        new("start", KeyType.Number, "Where the search begins; the middle where it is left out."),
        new("points", KeyType.Count, "Makes a curve over the layers with so many free points."),
        new("steps", KeyType.Count, "Values of a grid, both ends included; 5 where it is left out."),
        new("log", KeyType.Boolean, "Divide the range evenly in logarithms."),
        new("share", KeyType.Text, "Marks with the same word here have the same value."),
    ]);

    /// <summary>Reads a recipe with marks; null when something in it is wrong, which is then among the problems.</summary>
    public RecipeTemplate? Read(YamlNode root)
    {
        var before = problems.Errors;
        Walk(root, "", null, insideParameters: false);
        if (problems.Errors == before && _variables.Count == 0)
            problems.Error("no parameter of the recipe is marked as free, as in weight: {search: [0, 1]}", root.Location);
        if (problems.Errors == before && _variables.Count > MostVariables)
            problems.Error($"the recipe has {_variables.Count} free numbers; at most {MostVariables} are possible", root.Location);
        if (problems.Errors > before)
            return null;
        try
        {
            return new RecipeTemplate(root, _marks, _variables);
        }
        catch (InputException e)
        {
            foreach (var problem in e.Problems.Where(problem => problem.Severity == Severity.Error))
                problems.Error($"the recipe to search: {problem.Message}", root.Location);
            return null;
        }
    }

    private void Walk(YamlNode node, string model, string? label, bool insideParameters)
    {
        switch (node)
        {
            case YamlMapping mapping when mapping.Find(Key) is { } key:
                if (insideParameters)
                    Mark(mapping, label ?? model);
                else
                    problems.Error("only the values of 'parameters' can be marked with 'search'", key.Key.Location);
                break;
            case YamlMapping mapping:
                var own = mapping.Find("model")?.Value is YamlScalar name ? LastPart(name.Text) : model;
                var filter = insideParameters && label is not null && mapping.Find("value") is not null
                    ? mapping.Find("filter")?.Value is YamlScalar { Kind: ScalarKind.Text } part ? $"[{part.Text}]" : "[rest]" : null;
                foreach (var entry in mapping.Entries)
                    Walk(entry.Value, own, Label(entry.Key.Text, own, label, filter, insideParameters), insideParameters || entry.Key.Text == "parameters");
                break;
            case YamlSequence sequence:
                foreach (var item in sequence.Items)
                    Walk(item, model, label, insideParameters);
                break;
        }
    }

    private static string? Label(string key, string model, string? label, string? filter, bool insideParameters) =>
        !insideParameters ? null : filter is not null ? label + filter : label ?? (model.Length > 0 ? $"{model}.{key}" : key);

    private static string LastPart(string path) => Path.GetFileName(Path.TrimEndingDirectorySeparator(path)) is { Length: > 0 } last ? last : path;

    private void Mark(YamlMapping mapping, string label)
    {
        if (_marks.ContainsKey(mapping.Location) || Fields.Open(mapping, Table, problems) is not { } fields || Range(fields) is not var (low, high))
            return;
        var share = fields.Text("share");
        var points = fields.Integer("points", 1) ?? 1;
        var logarithmic = fields.Boolean("log") ?? false;
        var start = fields.Number("start") ?? (logarithmic && low > 0 ? Math.Sqrt(low * high) : low + ((high - low) / 2));
        if (start < low || start > high)
            problems.Error($"'start' is {start}, outside the range [{low}, {high}]", fields["start"]!.Location);
        if (logarithmic && low <= 0)
            problems.Error($"'log' needs a range above 0; this one begins at {low}", fields[Key]!.Location);
        if (points > MostPoints)
            problems.Error($"'points' is {points}; at most {MostPoints} are possible", fields["points"]!.Location);
        var variable = new SearchVariable(share ?? label, low, high, start, fields.Integer("steps", 1) ?? 5, logarithmic);
        if (share is not null && _shared.TryGetValue(share, out var known))
        {
            if (known.First != variable || known.Variables.Length != points)
                problems.Error($"the marks that share '{share}' must have the same range, start, points and steps", fields["share"]!.Location);
            _marks[mapping.Location] = known.Variables;
            return;
        }

        int[] indices = [.. Enumerable.Range(_variables.Count, Math.Min(points, MostPoints))];
        _marks[mapping.Location] = indices;
        _variables.AddRange(indices.Select((_, i) => points == 1 ? variable : variable with { Name = $"{variable.Name}#{i + 1}" }));
        if (share is not null)
            _shared[share] = (indices, variable);
    }

    private static (double Low, double High)? Range(Fields fields)
    {
        if (fields[Key] is not { } node)
            return null;
        if (node is YamlSequence { Items: [var first, var second] } && Values.Number(first) is { } low && Values.Number(second) is { } high
            && double.IsFinite(low) && double.IsFinite(high) && low < high)
            return (low, high);
        fields.Problems.Error($"'{Key}' is {node.Describe()}; wanted two numbers [least, greatest]", node.Location);
        return null;
    }
}
