using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Recipes.Yaml;

/// <summary>Collects the entries of one mapping: a key may stand once, and the merge key <c>&lt;&lt;</c> brings in the keys of other mappings that
/// the mapping does not have itself (of several, the first that has a key).</summary>
internal sealed class MappingEntries(ProblemList problems)
{
    private readonly List<YamlEntry> _own = [];
    private readonly Dictionary<string, SourceLocation> _places = new(StringComparer.Ordinal);
    private readonly List<YamlMapping> _merged = [];

    /// <summary>Adds an entry that is written here.</summary>
    public void Add(YamlNode key, YamlNode value)
    {
        if (key is not YamlScalar scalar)
            problems.Error($"a key must be a word, but this is {key.Describe()}", key.Location);
        else if (_places.TryAdd(scalar.Text, scalar.Location))
            _own.Add(new YamlEntry(scalar, value));
        else
            problems.Error(
                $"the key '{Quoting.Shorten(scalar.Text)}' stands twice in the same mapping; first in line {_places[scalar.Text].Line}",
                scalar.Location);
    }

    /// <summary>Takes the value of a merge key: a mapping or a list of mappings.</summary>
    public void Merge(YamlNode value)
    {
        if (value is YamlMapping mapping)
            _merged.Add(mapping);
        else if (value is YamlSequence { Items: var items } && items.All(item => item is YamlMapping))
            _merged.AddRange(items.Cast<YamlMapping>());
        else
            problems.Error(
                $"the YAML merge key '<<' wants a mapping or a list of mappings, but this is {value.Describe()}",
                value.Location);
    }

    /// <summary>All entries: own ones first, then what merge keys add.</summary>
    public IReadOnlyList<YamlEntry> Finish()
    {
        foreach (var entry in _merged.SelectMany(mapping => mapping.Entries))
            if (_places.TryAdd(entry.Key.Text, entry.Key.Location))
                _own.Add(entry);
        return _own;
    }
}
