using MergeKit.Core.Diagnostics;
using MergeKit.Core.Numerics;
using MergeKit.Core.Recipes.Yaml;

namespace MergeKit.Core.Recipes;

/// <summary>The values of one mapping, held against its key table. A key whose value is empty counts as not given.</summary>
internal sealed class Fields
{
    private const int MostGuesses = 20;
    private readonly YamlMapping _mapping;
    private readonly KeyTable _table;

    private Fields(YamlMapping mapping, KeyTable table, ProblemList problems) => (_mapping, _table, Problems) = (mapping, table, problems);

    /// <summary>Where the mapping begins.</summary>
    public SourceLocation Location => _mapping.Location;

    /// <summary>Takes what is wrong.</summary>
    public ProblemList Problems { get; }

    /// <summary>Holds a node against a table: it must be a mapping, without unknown keys, with all required ones.</summary>
    /// <returns>The fields, or null when the node is no mapping.</returns>
    public static Fields? Open(YamlNode node, KeyTable table, ProblemList problems)
    {
        if (node is not YamlMapping mapping)
        {
            problems.Error(
                $"{table.Title} must be a mapping with keys ({string.Join(", ", table.Keys.Take(3).Select(key => key.Name))}, ...), but this is {node.Describe()}",
                node.Location);
            return null;
        }

        var unknown = mapping.Entries.Select(entry => entry.Key).Where(key => table.Find(key.Text) is null).ToList();
        foreach (var key in unknown)
            problems.Error(table.Unknown(key.Text), key.Location);
        foreach (var key in table.Keys.Where(key => key.Required && mapping.Find(key.Name) is not { Value.IsNull: false }))
            if (!unknown.Take(MostGuesses).Any(other => table.Nearest(other.Text) == key.Name))
                problems.Error(
                    $"'{key.Name}' is missing in {table.Title}. {key.Summary}",
                    mapping.Find(key.Name)?.Key.Location ?? mapping.Location);
        return new Fields(mapping, table, problems);
    }

    /// <summary>The value of a key, or null when it is absent or empty.</summary>
    public YamlNode? this[string key]
    {
        get
        {
            if (_table.Find(key) is null)
                throw new InvalidOperationException($"the key '{key}' is not declared for {_table.Title}");
            return _mapping.Find(key) is { Value: { IsNull: false } value } ? value : null;
        }
    }

    /// <summary>Where a key itself stands.</summary>
    public SourceLocation PlaceOf(string key) => _mapping.Find(key)?.Key.Location ?? Location;

    /// <summary>A text.</summary>
    public string? Text(string key, bool allowBlank = false) =>
        this[key] is { } node ? Values.Text(node, $"'{key}'", Problems, allowBlank) : null;

    /// <summary>true or false.</summary>
    public bool? Boolean(string key)
    {
        if (this[key] is not { } node)
            return null;
        if (node is YamlScalar { Kind: ScalarKind.Boolean } scalar)
            return scalar.Number == 1;
        Problems.Error($"'{key}' is {node.Describe()}; wanted true or false", node.Location);
        return null;
    }

    /// <summary>A whole number of at least <paramref name="least"/>.</summary>
    public int? Integer(string key, int least) =>
        this[key] is { } node ? Values.Integer(node, $"'{key}'", least, Problems) : null;

    /// <summary>One of the values that the key's declaration allows.</summary>
    public string? Choice(string key)
    {
        if (Text(key) is not { } text || _table.Find(key)!.Choices is not { } choices || choices.Contains(text))
            return Text(key);
        var hint = text.Length <= 40 ? Spelling.Hint(text, choices) : "";
        Problems.Error($"'{key}' is '{Quoting.Shorten(text)}'.{hint} Known: {string.Join(", ", choices)}", this[key]!.Location);
        return null;
    }

    /// <summary>A finite number within bounds.</summary>
    public double? Number(string key, double least = double.NegativeInfinity, double most = double.PositiveInfinity)
    {
        if (this[key] is not { } node || Number(node, $"'{key}'") is not { } number || (number >= least && number <= most))
            return this[key] is { } given ? Values.Number(given) : null;
        Problems.Error(
            double.IsFinite(most) ? FormattableString.Invariant($"'{key}' is {number}; wanted a number from {least} to {most}")
                : FormattableString.Invariant($"'{key}' is {number}; wanted a number of at least {least}"), node.Location);
        return null;
    }

    /// <summary>A list of finite numbers; those that are none are noted.</summary>
    public IReadOnlyList<double> Numbers(YamlNode node, string what)
    {
        if (node is YamlSequence { Items.Count: > 0 } sequence)
            return [.. sequence.Items.Select(item => Number(item, $"an entry of {what}")).OfType<double>()];
        Problems.Error($"{what} is {node.Describe()}; wanted a list of numbers", node.Location);
        return [];
    }

    private double? Number(YamlNode node, string what)
    {
        if (Values.Number(node) is { } number && double.IsFinite(number))
            return number;
        Problems.Error($"{what} is {node.Describe()}; wanted a finite number", node.Location);
        return null;
    }

    /// <summary>A list of texts, which may be empty; none when it is wrong or absent.</summary>
    public IReadOnlyList<string> Texts(string key)
    {
        if (this[key] is not { } node)
            return [];
        if (node is not YamlSequence sequence)
        {
            Problems.Error($"'{key}' is {node.Describe()}; wanted a list of texts, each after a dash", node.Location);
            return [];
        }

        return [.. sequence.Items.Select(item => item is YamlScalar { Kind: ScalarKind.Text, Text: "" } ? "" : Values.Text(item, $"an entry of '{key}'", Problems, allowBlank: true)).OfType<string>()];
    }

    /// <summary>Whether mappings of this kind have the key at all.</summary>
    public bool Declares(string key) => _table.Find(key) is not null;

    /// <summary>An element type, by its torch name.</summary>
    public DType? ElementType(string key)
    {
        if (Text(key) is not { } name)
            return null;
        if (DTypes.TryFromTorch(name, out var type))
            return type;
        var hint = name.Length <= 40 ? Spelling.Hint(name, DTypes.TorchNames) : "";
        Problems.Error(
            $"'{key}' is '{Quoting.Shorten(name)}', which is no known type.{hint} Known: {string.Join(", ", DTypes.TorchNames)}",
            this[key]!.Location);
        return null;
    }

    /// <summary>The items of a list that must not be empty; no items when it is wrong or absent.</summary>
    public IReadOnlyList<YamlNode> List(string key)
    {
        switch (this[key])
        {
            case null:
                return [];
            case YamlSequence { Items.Count: > 0 } sequence:
                return sequence.Items;
            case YamlSequence empty:
                Problems.Error($"'{key}' is an empty list; wanted at least one entry", empty.Location);
                return [];
            case var other:
                Problems.Error($"'{key}' is {other.Describe()}; wanted a list, each entry after a dash", other.Location);
                return [];
        }
    }

    /// <summary>The entries of a mapping with names of the user's choice; none when it is wrong or absent.</summary>
    public IReadOnlyList<YamlEntry> Map(string key) =>
        this[key] is { } node ? Values.NamedEntries(node, $"'{key}'", Problems) : [];
}
