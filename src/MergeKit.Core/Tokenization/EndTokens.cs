using System.Text.Json.Nodes;
using MergeKit.Core.Checkpoints;

namespace MergeKit.Core.Tokenization;

/// <summary>The ids that end a text: what generation_config.json says, else config.json, else the tokenizer.</summary>
public static class EndTokens
{
    /// <summary>The ids for a model folder.</summary>
    public static IReadOnlySet<int> Of(string folder, Tokenizer tokenizer)
    {
        foreach (var name in new[] { "generation_config.json", "config.json" })
        {
            var path = Path.Combine(folder, name);
            if (File.Exists(path) && Ids(ModelConfig.Parse(path, File.ReadAllText(path)).Json["eos_token_id"]) is { Count: > 0 } ids)
                return ids;
        }

        return tokenizer.EosId is { } id ? new HashSet<int> { id } : new HashSet<int>();
    }

    private static HashSet<int> Ids(JsonNode? node) => node switch
    {
        JsonArray list => [.. list.SelectMany(Ids)],
        JsonValue value when value.TryGetValue<int>(out var id) => [id],
        _ => [],
    };
}
