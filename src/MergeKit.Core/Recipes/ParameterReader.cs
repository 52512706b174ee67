using MergeKit.Core.Diagnostics;
using MergeKit.Core.Recipes.Yaml;

namespace MergeKit.Core.Recipes;

/// <summary>Reads <c>parameters:</c> of any level.</summary>
internal static class ParameterReader
{
    private const string Wanted = "a number, true or false, a list of numbers, or a list of {filter, value}";

    /// <summary>The parameters of one level.</summary>
    public static Parameters Read(Fields fields)
    {
        if (fields["parameters"] is not { } node)
            return Parameters.Empty;
        var values = new Dictionary<string, ParameterValue>(StringComparer.Ordinal);
        var places = new Dictionary<string, SourceLocation>(StringComparer.Ordinal);
        foreach (var entry in Values.NamedEntries(node, "'parameters'", fields.Problems))
        {
            places[entry.Key.Text] = entry.Key.Location;
            if (Value(entry.Value, Quoting.Shorten(entry.Key.Text), fields.Problems) is { } value)
                values[entry.Key.Text] = value;
        }

        return new Parameters(values) { NameLocations = places };
    }

    /// <summary>One value. Recursion is bounded by the depth that the composer allows.</summary>
    private static ParameterValue? Value(YamlNode node, string name, ProblemList problems) => node switch
    {
        YamlScalar { Kind: ScalarKind.Boolean } flag => new BooleanValue(flag.Number == 1, node.Location),
        YamlScalar => Finite(node, name, problems) is { } number ? new ScalarValue(number, node.Location) : null,
        YamlSequence { Items.Count: 0 } => Wrong(node, name, problems),
        YamlSequence { Items: var items } when items.All(item => item is YamlMapping) => Conditions(items, node.Location, name, problems),
        YamlSequence { Items: var items } => Gradient(items, node.Location, name, problems),
        _ => Conditions([node], node.Location, name, problems),
    };

    private static GradientValue? Gradient(IReadOnlyList<YamlNode> items, SourceLocation location, string name, ProblemList problems)
    {
        var points = items.Select(item => Finite(item, name, problems)).ToList();
        return points.Contains(null) ? null : new GradientValue([.. points.Select(point => point!.Value)], location);
    }

    private static ConditionalValue? Conditions(IReadOnlyList<YamlNode> items, SourceLocation location, string name, ProblemList problems)
    {
        var conditions = new List<Condition>();
        var complete = true;
        for (var i = 0; i < items.Count; i++)
        {
            if (Fields.Open(items[i], RecipeKeys.Condition, problems) is not { } fields)
                continue;
            var filter = fields["filter"] is null ? null : fields.Text("filter");
            var value = fields["value"] is { } node ? Value(node, name, problems) : null;
            complete &= value is not null;
            if (value is not null)
                conditions.Add(new Condition(filter, value));
            if (filter is null or "*" && i < items.Count - 1)
                problems.Warning(
                    $"the conditions of '{name}' after this one never apply, because it matches every tensor",
                    items[i].Location);
        }

        return complete && conditions.Count > 0 ? new ConditionalValue(conditions, location) : null;
    }

    private static double? Finite(YamlNode node, string name, ProblemList problems)
    {
        var number = Values.Number(node);
        if (number is { } value && double.IsFinite(value))
            return number;
        if (number is null)
            Wrong(node, name, problems);
        else
            problems.Error($"'{name}' is {node.Describe()}; wanted a finite number", node.Location);
        return null;
    }

    private static ParameterValue? Wrong(YamlNode node, string name, ProblemList problems)
    {
        problems.Error($"'{name}' is {node.Describe()}; wanted {Wanted}", node.Location);
        return null;
    }
}
