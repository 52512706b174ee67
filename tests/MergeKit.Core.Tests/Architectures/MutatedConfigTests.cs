using System.Text.Json.Nodes;
using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Tests.Architectures;

/// <summary>Configurations from outside are hostile: any value of any key gives a network or one clear error.</summary>
[Trait("Suite", "engine")]
public class MutatedConfigTests
{
    private static readonly string[] Values =
    [
        "null", "0", "-1", "1", "3", "268435456", "9223372036854775807", "1e300", "0.5", "true", "false", "\"x\"", "\"\"", "[]", "{}", "[1, \"a\", null]",
        "{\"type\": \"yarn\", \"factor\": 0}", "{\"rope_type\": \"longrope\", \"short_factor\": [], \"long_factor\": 3}", "{\"full_attention\": {}}",
    ];

    public static TheoryData<string> Cases => [.. EngineSuite.Cases()];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Any_value_of_any_key_gives_a_network_or_a_clear_error(string name)
    {
        foreach (var form in EngineSuite.ConfigForms)
        {
            var original = JsonNode.Parse(File.ReadAllText(Path.Combine(EngineSuite.Folder(name), form)))!.AsObject();
            foreach (var key in original.Select(pair => pair.Key).ToList())
            {
                foreach (var value in Values)
                    Try(original, key, changed => changed[key] = JsonNode.Parse(value));
                Try(original, key, changed => changed.Remove(key));
            }
        }
    }

    private static void Try(JsonObject original, string key, Action<JsonObject> change)
    {
        var changed = original.DeepClone().AsObject();
        change(changed);
        try
        {
            var config = ModelConfig.Parse("config.json", changed.ToJsonString());
            var network = ArchitectureCatalog.Get(config).Network(config);
            Assert.NotEmpty(network.Layers);
            Assert.True(network.Layers.All(layer => layer.Attention.Rope?.Frequencies(16).All(double.IsFinite) ?? true), $"{key}: frequencies are not finite");
        }
        catch (InputException error)
        {
            Assert.Contains("config.json", error.Message, StringComparison.Ordinal);
        }
    }
}
