using System.Text.Json;

namespace MergeKit.Core.Evaluation.Data;

/// <summary>The fields of one line; a <see cref="FormatException"/> says which is missing or of the wrong kind.</summary>
internal readonly struct ItemFields(JsonElement item)
{
    public string Text(string key, string? otherwise = null)
    {
        if (!item.TryGetProperty(key, out var value))
            return otherwise ?? throw new FormatException($"the key '{key}' is missing");
        return value.ValueKind == JsonValueKind.String ? String(value) : throw Wrong(key, "a string", value);
    }

    public List<string> Texts(string key)
    {
        if (!item.TryGetProperty(key, out var value))
            throw new FormatException($"the key '{key}' is missing");
        if (value.ValueKind != JsonValueKind.Array || value.GetArrayLength() == 0)
            throw Wrong(key, "a list of at least one string", value);
        var texts = new List<string>();
        foreach (var entry in value.EnumerateArray())
            texts.Add(entry.ValueKind == JsonValueKind.String ? String(entry) : throw Wrong(key, "a list of strings", entry));
        return texts;
    }

    /// <summary>The right answers: an index, a list of indices, or a choice by its text.</summary>
    public List<int> Gold(List<string> choices)
    {
        if (!item.TryGetProperty("gold", out var gold))
            throw new FormatException("the key 'gold' is missing");
        if (gold.ValueKind != JsonValueKind.Array)
            return [One(gold)];
        return gold.GetArrayLength() > 0 ? gold.EnumerateArray().Select(One).ToList() : throw Wrong("gold", "at least one index", gold);

        int One(JsonElement value)
        {
            var index = value.ValueKind == JsonValueKind.String ? choices.IndexOf(String(value))
                : value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var number) ? number : -1;
            return index >= 0 && index < choices.Count ? index : throw Wrong("gold", $"an index below {choices.Count} or one of the choices", value);
        }
    }

    private static string String(JsonElement value)
    {
        try
        {
            return value.GetString()!;
        }
        catch (InvalidOperationException)
        {
            throw new FormatException("a string holds an escape that is half a surrogate pair");
        }
    }

    private static FormatException Wrong(string key, string wanted, JsonElement value)
    {
        var seen = value.GetRawText();
        return new FormatException($"'{key}' must be {wanted}, got {(seen.Length > 60 ? seen[..60] + "..." : seen)}");
    }
}
