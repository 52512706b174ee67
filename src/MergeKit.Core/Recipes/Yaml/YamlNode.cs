using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Recipes.Yaml;

/// <summary>A node of a YAML document with its place. Aliases share the node they stand for.</summary>
/// <param name="Location">Where the node begins.</param>
/// <param name="Size">How many nodes it has when every alias is written out.</param>
/// <param name="Depth">How deep it is when every alias is written out; 1 for a scalar.</param>
internal abstract record YamlNode(SourceLocation Location, long Size, int Depth)
{
    /// <summary>Whether the node is an empty or null scalar.</summary>
    public bool IsNull => this is YamlScalar { Kind: ScalarKind.Null };

    /// <summary>What was seen, for messages.</summary>
    public abstract string Describe();

    /// <summary>The node wherever an alias stands: same content, the alias's place.</summary>
    public YamlNode At(SourceLocation location) => this with { Location = location };
}

/// <summary>What YAML 1.1 takes a scalar for.</summary>
internal enum ScalarKind
{
    /// <summary>Nothing.</summary>
    Null,

    /// <summary>true or false.</summary>
    Boolean,

    /// <summary>A whole number.</summary>
    Integer,

    /// <summary>A number with a fraction, an infinity or not-a-number.</summary>
    Float,

    /// <summary>Text.</summary>
    Text,
}

/// <summary>One value.</summary>
/// <param name="Text">As written, unquoted.</param>
/// <param name="Kind">What YAML takes it for.</param>
/// <param name="Number">The number of an integer or a float; 1 or 0 for true and false.</param>
/// <param name="Location">Where it begins.</param>
internal sealed record YamlScalar(string Text, ScalarKind Kind, double Number, SourceLocation Location) : YamlNode(Location, 1, 1)
{
    /// <inheritdoc/>
    public override string Describe() => Kind switch
    {
        ScalarKind.Null => "empty",
        ScalarKind.Boolean => Number == 1 ? "true" : "false",
        ScalarKind.Text => $"the text '{Quoting.Shorten(Text)}'",
        _ => $"the number {Quoting.Shorten(Text)}",
    };
}

/// <summary>A list.</summary>
internal sealed record YamlSequence(IReadOnlyList<YamlNode> Items, SourceLocation Location, long Size, int Depth) : YamlNode(Location, Size, Depth)
{
    /// <inheritdoc/>
    public override string Describe() => Items.Count switch { 0 => "an empty list", 1 => "a list of 1 item", var n => $"a list of {n} items" };
}

/// <summary>Keys and their values, in the order written; no key stands twice.</summary>
internal sealed record YamlMapping(IReadOnlyList<YamlEntry> Entries, SourceLocation Location, long Size, int Depth) : YamlNode(Location, Size, Depth)
{
    /// <summary>The entry of a key, or null.</summary>
    public YamlEntry? Find(string key) => Entries.FirstOrDefault(entry => entry.Key.Text == key);

    /// <inheritdoc/>
    public override string Describe() => Entries.Count == 0
        ? "an empty mapping"
        : $"a mapping with the key{(Entries.Count == 1 ? "" : "s")} {string.Join(", ", Entries.Take(4).Select(entry => Quoting.Shorten(entry.Key.Text)))}"
          + (Entries.Count > 4 ? ", ..." : "");
}

/// <summary>One key and its value.</summary>
internal sealed record YamlEntry(YamlScalar Key, YamlNode Value);

/// <summary>One document of a YAML stream.</summary>
/// <param name="Root">Its content.</param>
/// <param name="Text">Its own text, verbatim, without the markers between documents.</param>
internal sealed record YamlDocument(YamlNode Root, string Text);

/// <summary>Makes foreign text fit for a message.</summary>
internal static class Quoting
{
    private const int Longest = 48;

    /// <summary>At most 48 characters, control characters replaced.</summary>
    public static string Shorten(string text)
    {
        var shown = text.Length <= Longest ? text : text[..(Longest - 3)] + "...";
        return string.Concat(shown.Select(c => char.IsControl(c) ? '\uFFFD' : c));
    }
}
