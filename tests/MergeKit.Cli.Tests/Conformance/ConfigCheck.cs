using System.Text.Json;

namespace MergeKit.Cli.Tests.Conformance;

/// <summary>Holds a written <c>config.json</c> against the keys that the manifest wants.</summary>
internal static class ConfigCheck
{
    public static void Compare(JsonElement wanted, string folder, List<string> findings)
    {
        var path = Path.Combine(folder, "config.json");
        if (!File.Exists(path))
        {
            findings.Add("no config.json");
            return;
        }

        using var json = JsonDocument.Parse(File.ReadAllBytes(path));
        Compare(wanted, json.RootElement, findings);
    }

    /// <summary>Every wanted key is there with an equal value; <c>torch_dtype</c> may be written as <c>dtype</c>.</summary>
    public static void Compare(JsonElement wanted, JsonElement written, List<string> findings)
    {
        foreach (var key in wanted.EnumerateObject())
        {
            if (!written.TryGetProperty(key.Name, out var value) && !(key.Name == "torch_dtype" && written.TryGetProperty("dtype", out value)))
                findings.Add($"config.json lacks '{key.Name}' ({key.Value.GetRawText()} is wanted)");
            else if (!SameJson(key.Value, value))
                findings.Add($"config.json has {key.Name} = {value.GetRawText()}, {key.Value.GetRawText()} is wanted");
        }
    }

    private static bool SameJson(JsonElement a, JsonElement b) => (a.ValueKind, b.ValueKind) switch
    {
        (JsonValueKind.Number, JsonValueKind.Number) => a.GetDouble().Equals(b.GetDouble()),
        (JsonValueKind.Array, JsonValueKind.Array) => a.GetArrayLength() == b.GetArrayLength()
            && a.EnumerateArray().Zip(b.EnumerateArray()).All(pair => SameJson(pair.First, pair.Second)),
        (JsonValueKind.Object, JsonValueKind.Object) => a.EnumerateObject().Count() == b.EnumerateObject().Count()
            && a.EnumerateObject().All(entry => b.TryGetProperty(entry.Name, out var other) && SameJson(entry.Value, other)),
        (JsonValueKind.String, JsonValueKind.String) => a.GetString() == b.GetString(),
        var (kindA, kindB) => kindA == kindB,
    };
}
