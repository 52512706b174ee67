using System.Text.Json;

namespace MergeKit.Cli.Tests.Conformance;

/// <summary>Vocabularies of <c>tokenizer.json</c>, and the comparison of embedding rows by token instead of by number.</summary>
internal static class TokenizerCheck
{
    /// <summary>Token to id: the model's vocabulary and the added tokens. Null where the folder has no <c>tokenizer.json</c>.</summary>
    public static Dictionary<string, int>? ReadVocabulary(string folder)
    {
        var path = Path.Combine(folder, "tokenizer.json");
        if (!File.Exists(path))
            return null;
        using var json = JsonDocument.Parse(File.ReadAllBytes(path));
        var tokens = new Dictionary<string, int>(StringComparer.Ordinal);
        var vocabulary = json.RootElement.GetProperty("model").GetProperty("vocab");
        if (vocabulary.ValueKind == JsonValueKind.Array)
            foreach (var (piece, id) in vocabulary.EnumerateArray().Select((piece, id) => (piece[0].GetString()!, id)))
                tokens[piece] = id;
        else
            foreach (var entry in vocabulary.EnumerateObject())
                tokens[entry.Name] = entry.Value.GetInt32();
        if (json.RootElement.TryGetProperty("added_tokens", out var added))
            foreach (var token in added.EnumerateArray())
                tokens[token.GetProperty("content").GetString()!] = token.GetProperty("id").GetInt32();
        return tokens;
    }

    /// <summary>The same tokens; those of the base with the same numbers (all of them where the base is not known).</summary>
    public static void Compare(
        Dictionary<string, int> expected, Dictionary<string, int>? actual, IReadOnlyDictionary<string, int>? baseTokens, List<string> findings)
    {
        if (actual is null)
        {
            findings.Add("no tokenizer.json");
            return;
        }

        findings.AddRange(expected.Keys.Except(actual.Keys).Select(token => $"tokenizer.json lacks token '{token}'"));
        findings.AddRange(actual.Keys.Except(expected.Keys).Select(token => $"tokenizer.json has token '{token}', which should not be there"));
        foreach (var (token, id) in expected)
            if (actual.TryGetValue(token, out var got) && got != id && (baseTokens is null || baseTokens.ContainsKey(token)))
                findings.Add($"token '{token}' has id {got}, {id} is wanted");
    }

    /// <summary>Reorders the actual rows into the expected numbering: rows of tokens by token, the rest (padding) in order.
    /// Null with a finding where that cannot be done.</summary>
    public static LoadedTensor? Reorder(
        LoadedTensor actual, Dictionary<string, int> expectedTokens, Dictionary<string, int> actualTokens, List<string> findings)
    {
        var rows = (int)actual.Shape[0];
        if (expectedTokens.Values.Concat(actualTokens.Values).Any(id => id < 0 || id >= rows))
        {
            findings.Add($"tensor '{actual.Name}' has {rows} rows, fewer than its tokenizer has token ids");
            return null;
        }

        var source = new int[rows];
        var expectedPadding = Enumerable.Range(0, rows).Except(expectedTokens.Values).ToList();
        var actualPadding = Enumerable.Range(0, rows).Except(actualTokens.Values).ToList();
        if (expectedPadding.Count != actualPadding.Count)
        {
            findings.Add($"tensor '{actual.Name}' has {actualPadding.Count} padding rows, {expectedPadding.Count} are wanted");
            return null;
        }

        foreach (var (token, id) in expectedTokens)
            source[id] = actualTokens.TryGetValue(token, out var from) ? from : id; // a missing token is a finding of its own
        foreach (var (to, from) in expectedPadding.Zip(actualPadding))
            source[to] = from;
        var rowBytes = actual.Bytes.Length / rows;
        var bytes = new byte[actual.Bytes.Length];
        for (var row = 0; row < rows; row++)
            actual.Bytes.AsSpan(source[row] * rowBytes, rowBytes).CopyTo(bytes.AsSpan(row * rowBytes));
        return actual with { Bytes = bytes };
    }

    /// <summary>Whether a tensor's rows stand for tokens.</summary>
    public static bool HasTokenRows(string name) =>
        name.EndsWith("embed_tokens.weight", StringComparison.Ordinal) || name.EndsWith("lm_head.weight", StringComparison.Ordinal);
}
