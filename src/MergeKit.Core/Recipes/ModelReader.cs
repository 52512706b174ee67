using MergeKit.Core.Diagnostics;
using MergeKit.Core.Recipes.Yaml;

namespace MergeKit.Core.Recipes;

/// <summary>Reads models in the text form and the mapping form.</summary>
internal static class ModelReader
{
    /// <summary>The model under a key, or null when it is absent or wrong.</summary>
    public static ModelReference? Read(Fields fields, string key) =>
        fields[key] is { } node ? Read(node, $"'{key}'", fields.Problems) : null;

    /// <summary>A model.</summary>
    public static ModelReference? Read(YamlNode node, string what, ProblemList problems)
    {
        if (node is YamlMapping)
            return Fields.Open(node, RecipeKeys.Model, problems) is { } fields ? FromFields(fields) : null;
        return Values.Text(node, what, problems) is { } text ? Parse(text, node.Location, what, problems) : null;
    }

    /// <summary>A model in the text form.</summary>
    public static ModelReference? Parse(string text, SourceLocation location, string what, ProblemList problems)
    {
        if (ModelReference.TryParse(text, location, out var problem) is { } reference)
            return reference;
        problems.Error($"{what} is '{Quoting.Shorten(text)}': {problem}", location);
        return null;
    }

    /// <summary>The mapping form, from fields that have at least its keys.</summary>
    public static ModelReference? FromFields(Fields fields)
    {
        var model = Path(fields, "model");
        var adapter = Path(fields, "lora");
        var architecture = fields.Text("override_architecture");
        return model is { } found
            ? new ModelReference(found.Path, found.Revision, adapter?.Path, adapter?.Revision, architecture, fields.Location)
            : null;
    }

    private static (string Path, string? Revision)? Path(Fields owner, string key)
    {
        if (owner[key] is not { } node)
            return null;
        if (node is YamlMapping)
        {
            return Fields.Open(node, RecipeKeys.ModelPath, owner.Problems) is { } fields && fields.Text("path") is { } path
                ? (path, fields.Text("revision"))
                : null;
        }

        if (owner.Text(key) is not { } text)
            return null;
        if (ModelReference.TryParsePath(text, out var parsed, out var revision, out var problem))
            return (parsed, revision);
        owner.Problems.Error($"'{key}' is '{Quoting.Shorten(text)}': {problem}", node.Location);
        return null;
    }
}
