using System.Text.Json;
using MergeKit.Core.Architectures;

namespace MergeKit.Tests.Support;

/// <summary>The engine suite: checkpoints of many architectures with the results that a correct engine gives.</summary>
public static class EngineSuite
{
    /// <summary>The two files in which each case states its configuration.</summary>
    public static IReadOnlyList<string> ConfigForms { get; } = ["config.json", "config.v5.json"];

    /// <summary>The folder of a case.</summary>
    public static string Folder(string name) => Path.Combine(Root, "models", name);

    /// <summary>The cases of one kind (<c>causal_lm</c>, <c>masked_lm</c>), or of all, whose architecture is built; with
    /// <see cref="Repository.RunUnbuilt"/> the others too, which then fail by the catalog's own error.</summary>
    public static IReadOnlyList<string> Cases(string? kind = null)
    {
        var manifest = Path.Combine(Root, "manifest.json");
        if (!File.Exists(manifest))
            return [];
        using var json = JsonDocument.Parse(File.ReadAllText(manifest));
        return [.. json.RootElement.GetProperty("models").EnumerateArray()
            .Where(entry => kind is null || entry.GetProperty("kind").GetString() == kind)
            .Where(entry => Repository.RunUnbuilt || IsBuilt(entry.GetProperty("architecture").GetString()!))
            .Select(entry => entry.GetProperty("case").GetString()!)];
    }

    private static bool IsBuilt(string architecture) =>
        ArchitectureCatalog.All.Any(known => known.ClassNames.Contains(architecture, StringComparer.Ordinal));

    private static string Root => Path.Combine(Repository.Fixtures, "conformance", "engine");
}
