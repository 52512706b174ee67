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

    /// <summary>A finite number within bounds.</summary>
    public double? Number(string key, double least = double.NegativeInfinity, double most = double.PositiveInfinity)
    {
        if (this[key] is not { } node)
            return null;
        if (Values.Number(node) is { } number && double.IsFinite(number) && number >= least && number <= most)
            return number;
        var bounds = (double.IsFinite(least), double.IsFinite(most)) switch
        {
            (true, true) => FormattableString.Invariant($" from {least} to {most}"),
            (true, false) => FormattableString.Invariant($" of at least {least}"),
            _ => "",
        };
        Problems.Error($"'{key}' is {node.Describe()}; wanted a number{bounds}", node.Location);
        return null;
    }

    /// <summary>One of several words; the first where the key is absent or wrong.</summary>
    public string OneOf(string key, IReadOnlyList<string> words)
    {
        if (Text(key) is not { } word)
            return words[0];
        if (!words.Contains(word))
            Problems.Error($"'{key}' is '{Yaml.Quoting.Shorten(word)}'.{Spelling.Hint(word, words)} Known: {string.Join(", ", words)}", this[key]!.Location);
        return word;
    }

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
