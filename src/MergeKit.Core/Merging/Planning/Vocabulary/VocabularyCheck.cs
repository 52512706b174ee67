using System.Text.Json;
using System.Text.Json.Nodes;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Merging.Planning.Vocabulary;

/// <summary>Finds models whose token numbers mean different strings: averaging their embeddings row by row mixes unrelated tokens.</summary>
internal static class VocabularyCheck
{
    public static void Check(IReadOnlyList<LoadedModel> models, LoadedModel template, List<Problem> problems)
    {
        if (Read(template.Folder, problems) is not { } wanted)
            return;
        foreach (var model in models.Where(model => model != template))
        {
            if (SameFile(template.Folder, model.Folder) || Read(model.Folder, problems) is not { } seen)
                continue;
            var common = Math.Min(wanted.Count, seen.Count);
            var different = wanted.Where(pair => pair.Value < common && seen.GetValueOrDefault(pair.Key, -1) != pair.Value).OrderBy(pair => pair.Value).ToList();
            if (different.Count > 0)
                problems.Add(Problem.Warning($"the tokenizers of '{template}' and '{model}' disagree on {different.Count} of {common} token ids "
                    + $"(first: '{different[0].Key}', id {different[0].Value}): rows of unrelated tokens would be mixed", model.Reference.Location));
            else if (wanted.Count != seen.Count)
                problems.Add(Problem.Warning($"'{template}' has {wanted.Count} tokens, '{model}' has {seen.Count}: only the common ones are merged", model.Reference.Location));
        }
    }

    private static bool SameFile(string a, string b)
    {
        var (left, right) = (new FileInfo(Path.Combine(a, "tokenizer.json")), new FileInfo(Path.Combine(b, "tokenizer.json")));
        return left.Exists && right.Exists && left.Length == right.Length
            && File.ReadAllBytes(left.FullName).AsSpan().SequenceEqual(File.ReadAllBytes(right.FullName));
    }

    /// <summary>Token to id: the model's vocabulary and the added tokens of tokenizer.json; null where there is none.</summary>
    private static Dictionary<string, int>? Read(string folder, List<Problem> problems)
    {
        var path = Path.Combine(folder, "tokenizer.json");
        if (!File.Exists(path))
            return null;
        try
        {
            using var stream = File.OpenRead(path);
            var root = JsonNode.Parse(stream) as JsonObject ?? throw new JsonException("not an object");
            var ids = new Dictionary<string, int>(StringComparer.Ordinal);
            if (root["model"]?["vocab"] is JsonObject map)
                foreach (var (token, id) in map)
                    ids[token] = id!.GetValue<int>();
            else if (root["model"]?["vocab"] is JsonArray list)
                for (var i = 0; i < list.Count; i++)
                    ids[list[i]![0]!.GetValue<string>()] = i;
            foreach (var added in root["added_tokens"] as JsonArray ?? [])
                ids[added!["content"]!.GetValue<string>()] = added["id"]!.GetValue<int>();
            return ids;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or NullReferenceException or ArgumentException)
        {
            problems.Add(Problem.Warning($"{path}: cannot be compared with the other tokenizers: {e.Message}"));
            return null;
        }
    }
}
