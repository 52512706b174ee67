using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Recipes.Yaml;

/// <summary>Makes nodes at one place.</summary>
internal sealed class YamlBuilder(SourceLocation location)
{
    /// <summary>A text.</summary>
    public YamlScalar Text(string text) => new(text, ScalarKind.Text, 0, location);

    /// <summary>A number.</summary>
    public YamlScalar Number(double value) => YamlWriter.Number(value, location);

    /// <summary>true or false.</summary>
    public YamlScalar Flag(bool value) => new(value ? "true" : "false", ScalarKind.Boolean, value ? 1 : 0, location);

    /// <summary>A list.</summary>
    public YamlSequence List(IEnumerable<YamlNode> items)
    {
        YamlNode[] all = [.. items];
        return new YamlSequence(all, location, all.Sum(item => item.Size) + 1, all.Select(item => item.Depth).DefaultIfEmpty(0).Max() + 1);
    }

    /// <summary>A mapping; entries whose value is null are left out.</summary>
    public YamlMapping Map(params (string Key, YamlNode? Value)[] entries)
    {
        YamlEntry[] all = [.. entries.Where(entry => entry.Value is not null).Select(entry => new YamlEntry(Text(entry.Key), entry.Value!))];
        return new YamlMapping(all, location, all.Sum(entry => entry.Value.Size) + 1, all.Select(entry => entry.Value.Depth).DefaultIfEmpty(0).Max() + 1);
    }

    /// <summary>A model in the form that recipes read.</summary>
    public YamlNode Model(ModelReference model) => model is { OverrideArchitecture: null, AdapterRevision: null } && model.ToString() is var text
        && ModelReference.TryParse(text, location, out _) is { } parsed && parsed.Equals(model)
        ? Text(text)
        : Map(
            ("model", Map(("path", Text(model.Path)), ("revision", model.Revision is { } revision ? Text(revision) : null))),
            ("lora", model.Adapter is { } adapter ? Map(("path", Text(adapter)), ("revision", model.AdapterRevision is { } own ? Text(own) : null)) : null),
            ("override_architecture", model.OverrideArchitecture is { } name ? Text(name) : null));
}
