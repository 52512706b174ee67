using System.Text.Json;

namespace MergeKit.Tests.Support;

/// <summary>The engine suite: checkpoints of many architectures with the results that a correct engine gives.</summary>
public static class EngineSuite
{
    /// <summary>The two files in which each case states its configuration.</summary>
    public static IReadOnlyList<string> ConfigForms { get; } = ["config.json", "config.v5.json"];

    /// <summary>The folder of a case.</summary>
    public static string Folder(string name) => Path.Combine(Root, "models", name);

    /// <summary>The cases of one kind (<c>causal_lm</c>, <c>masked_lm</c>), or of all.</summary>
    public static IReadOnlyList<string> Cases(string? kind = null)
    {
        var manifest = Path.Combine(Root, "manifest.json");
        if (!File.Exists(manifest))
            return [];
        using var json = JsonDocument.Parse(File.ReadAllText(manifest));
        return [.. json.RootElement.GetProperty("models").EnumerateArray()
            .Where(entry => kind is null || entry.GetProperty("kind").GetString() == kind)
            .Select(entry => entry.GetProperty("case").GetString()!)];
    }

    private static string Root => Path.Combine(Repository.Fixtures, "conformance", "engine");
}
