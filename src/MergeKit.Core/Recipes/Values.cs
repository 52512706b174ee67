using MergeKit.Core.Recipes.Yaml;

namespace MergeKit.Core.Recipes;

/// <summary>Reads single values; each failure is noted with what was seen and what was wanted.</summary>
internal static class Values
{
    /// <summary>A text, not empty, and not blank unless <paramref name="allowBlank"/>.</summary>
    public static string? Text(YamlNode node, string what, ProblemList problems, bool allowBlank = false)
    {
        if (node is YamlScalar { Kind: ScalarKind.Text } scalar)
        {
            if (allowBlank ? scalar.Text.Length > 0 : !string.IsNullOrWhiteSpace(scalar.Text))
                return scalar.Text;
            problems.Error($"{what} is blank", node.Location);
            return null;
        }

        var advice = node is YamlScalar { Kind: not ScalarKind.Null } ? " (in quotes, if text is meant)" : "";
        problems.Error($"{what} is {node.Describe()}; wanted text{advice}", node.Location);
        return null;
    }

    /// <summary>A whole number of at least <paramref name="least"/>.</summary>
    public static int? Integer(YamlNode node, string what, int least, ProblemList problems)
    {
        if (Number(node) is { } number && Math.Floor(number) == number && number >= least && number <= int.MaxValue)
            return (int)number;
        problems.Error($"{what} is {node.Describe()}; wanted a whole number of at least {least}{(node is YamlScalar { Number: > int.MaxValue } ? $" and at most {int.MaxValue}" : "")}", node.Location);
        return null;
    }

    /// <summary>The number that a scalar stands for where a number is wanted; null if it is none.</summary>
    public static double? Number(YamlNode node) => node switch
    {
        YamlScalar { Kind: ScalarKind.Integer or ScalarKind.Float } scalar => scalar.Number,
        YamlScalar { Kind: ScalarKind.Text } scalar when YamlScalars.TryNumberFromText(scalar.Text, out var number) => number,
        _ => null,
    };

    /// <summary>The entries of a mapping with names of the user's choice.</summary>
    public static IReadOnlyList<YamlEntry> NamedEntries(YamlNode node, string what, ProblemList problems)
    {
        if (node is not YamlMapping mapping)
        {
            problems.Error($"{what} is {node.Describe()}; wanted a mapping of names to values", node.Location);
            return [];
        }

        var named = mapping.Entries.Where(entry => entry.Key.Kind == ScalarKind.Text && entry.Key.Text.Length > 0).ToList();
        foreach (var entry in mapping.Entries.Except(named))
            problems.Error($"a name in {what} is {entry.Key.Describe()}; wanted text (in quotes, if text is meant)", entry.Key.Location);
        return named;
    }
}
