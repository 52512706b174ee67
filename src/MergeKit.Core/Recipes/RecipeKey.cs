using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Recipes;

/// <summary>What the value of a key looks like.</summary>
public enum KeyType
{
    /// <summary>Any text.</summary>
    Text,

    /// <summary>A list of texts.</summary>
    Texts,

    /// <summary>The name of a merge method.</summary>
    Method,

    /// <summary>The name of an element type.</summary>
    DType,

    /// <summary>true or false.</summary>
    Boolean,

    /// <summary>A finite number.</summary>
    Number,

    /// <summary>A list of finite numbers, or a list of such lists.</summary>
    Numbers,

    /// <summary>A whole number of at least zero.</summary>
    Index,

    /// <summary>A whole number of at least one.</summary>
    Count,

    /// <summary>Two whole numbers [a, b), 0 &lt;= a &lt; b.</summary>
    LayerRange,

    /// <summary>A model: text or the mapping form.</summary>
    Model,

    /// <summary>A model's path and revision: text or the mapping form.</summary>
    ModelPath,

    /// <summary>union, base or a model.</summary>
    TokenizerSource,

    /// <summary>A chat template: auto, a known name or Jinja text.</summary>
    ChatTemplate,

    /// <summary>Parameters by name.</summary>
    Parameters,

    /// <summary>A parameter's value.</summary>
    ParameterValue,

    /// <summary>A mapping with the keys of another table.</summary>
    Mapping,

    /// <summary>A list, not empty, of mappings with the keys of another table.</summary>
    List,

    /// <summary>Names of the user's choice, each with a mapping with the keys of another table.</summary>
    Map,

    /// <summary>A text, or a mapping with the keys of another table.</summary>
    TextOrMapping,

    /// <summary>A text, or a list, not empty, of texts.</summary>
    TextOrTexts,

    /// <summary>The row for a token: a model, or a mapping with the keys of another table.</summary>
    TokenSource,

    /// <summary>Two numbers [least, greatest].</summary>
    NumberRange,

    /// <summary>A list, not empty, of numbers.</summary>
    NumberList,

    /// <summary>A list, not empty, of texts.</summary>
    TextList,

    /// <summary>A list, not empty, of models.</summary>
    ModelList,

    /// <summary>A list, not empty, of texts or of mappings with the keys of another table.</summary>
    TaskList,

    /// <summary>A merge recipe with marked parameters.</summary>
    Template,
}

/// <summary>One key of a recipe: from this come the check for unknown keys, its hints and the editors' schema.</summary>
/// <param name="Name">As recipes spell it.</param>
/// <param name="Type">What its value looks like.</param>
/// <param name="Summary">What it does, in a sentence.</param>
/// <param name="Required">Whether it must be given.</param>
/// <param name="Table">For types that hold mappings: the keys of these.</param>
public sealed record RecipeKey(string Name, KeyType Type, string Summary, bool Required = false, KeyTable? Table = null)
{
    /// <summary>For a text: the only values that it may have.</summary>
    public IReadOnlyList<string>? Choices { get; init; }
}

/// <summary>The keys that one kind of mapping takes.</summary>
/// <param name="Id">A short name for the schema.</param>
/// <param name="Title">What such a mapping is, with its article, for messages: "a recipe".</param>
/// <param name="Keys">The keys.</param>
public sealed record KeyTable(string Id, string Title, IReadOnlyList<RecipeKey> Keys)
{
    private const int LongestGuess = 40;

    /// <summary>The declaration of a key, or null.</summary>
    public RecipeKey? Find(string name) => Keys.FirstOrDefault(key => key.Name == name);

    /// <summary>What to say about a key that is none of these: the nearest valid one, where it belongs instead, or all valid ones.</summary>
    public string Unknown(string name)
    {
        var message = $"unknown key '{Yaml.Quoting.Shorten(name)}' in {Title}.";
        if (RecipeKeys.All.FirstOrDefault(table => table.Find(name) is not null) is { } other)
            return $"{message} It belongs in {other.Title}. Valid keys here: {Names}.";
        return Nearest(name) is { } near ? $"{message} Did you mean '{near}'?" : $"{message} Valid keys: {Names}.";
    }

    /// <summary>The key that was probably meant, if one is near enough.</summary>
    public string? Nearest(string name) => name.Length <= LongestGuess ? Spelling.Nearest(name, Keys.Select(key => key.Name)) : null;

    private string Names => string.Join(", ", Keys.Select(key => key.Name));
}
