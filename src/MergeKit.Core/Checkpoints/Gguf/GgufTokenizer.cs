using System.Text.Json.Nodes;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Checkpoints.Gguf;

/// <summary>A tokenizer.json as GGUF metadata (<c>tokenizer.ggml.*</c>): byte-level byte-pair encoding ("gpt2"), or with byte fallback as in
/// SentencePiece ("llama"). Which regular expression cuts words is told by a name that llama.cpp knows.</summary>
internal sealed class GgufTokenizer(string file, JsonObject json, JsonObject? settings, int rows)
{
    private const int Normal = 1, Unknown = 2, Control = 3, UserDefined = 4, Unused = 5, Byte = 6;

    private readonly string?[] _tokens = new string?[rows];
    private readonly int[] _types = new int[rows];

    /// <summary>What could not be told exactly.</summary>
    public List<Problem> Problems { get; } = [];

    public IEnumerable<(string Key, object Value)> Metadata()
    {
        var model = json["model"] as JsonObject ?? throw Wrong("has no 'model'");
        if (model["type"]?.ToString() != "BPE" || model["vocab"] is not JsonObject vocabulary || model["merges"] is not JsonArray merges)
            throw Wrong($"its model is '{model["type"]}'; only byte-pair encoding can be written to GGUF");
        var fallback = model["byte_fallback"] is JsonValue flag && flag.TryGetValue<bool>(out var isSet) && isSet;
        ReadTokens(vocabulary, fallback);
        var pairs = merges.Select(Merge).ToList();
        yield return ("tokenizer.ggml.model", fallback ? "llama" : "gpt2");
        if (!fallback)
            yield return ("tokenizer.ggml.pre", PatternName());
        yield return ("tokenizer.ggml.tokens", _tokens.Select((token, id) => token ?? $"[PAD{id}]").ToList());
        yield return ("tokenizer.ggml.token_type", _types.ToList());
        if (fallback)
        {
            yield return ("tokenizer.ggml.scores", Scores(vocabulary, pairs));
            yield return ("tokenizer.ggml.add_space_prefix", Contains(json["normalizer"], "Prepend") || Contains(json["pre_tokenizer"], "Metaspace"));
        }
        else
            yield return ("tokenizer.ggml.merges", pairs.ConvertAll(pair => $"{pair.Left} {pair.Right}"));
        foreach (var (key, name) in new[] { ("bos_token", "bos_token_id"), ("eos_token", "eos_token_id"), ("unk_token", "unknown_token_id"), ("pad_token", "padding_token_id") })
            if (Id(settings?[key]) is { } id)
                yield return ($"tokenizer.ggml.{name}", (uint)id);
        foreach (var key in new[] { "add_bos_token", "add_eos_token" })
            if (settings?[key] is JsonValue value && value.TryGetValue<bool>(out var add))
                yield return ($"tokenizer.ggml.{key}", add);
        if (settings?["chat_template"] is JsonValue template && template.TryGetValue<string>(out var text))
            yield return ("tokenizer.chat_template", text);
    }

    private void ReadTokens(JsonObject vocabulary, bool fallback)
    {
        Array.Fill(_types, Unused);
        foreach (var (token, node) in vocabulary)
            Set(token, node, fallback && token.Length == 6 && token.StartsWith("<0x", StringComparison.Ordinal) ? Byte : Normal);
        foreach (var added in (json["added_tokens"] as JsonArray ?? []).OfType<JsonObject>())
            Set(added["content"]?.ToString() ?? "", added["id"], added["special"]?.GetValueKind() == System.Text.Json.JsonValueKind.True ? Control : UserDefined);
        if (json["model"]?["unk_token"]?.ToString() is { } unknown && Id(JsonValue.Create(unknown)) is { } id)
            _types[id] = Unknown;
    }

    private void Set(string token, JsonNode? node, int type)
    {
        if (node is not JsonValue value || !value.TryGetValue<int>(out var id) || id < 0 || id >= rows)
            throw Wrong($"token '{token}' has the id {node?.ToJsonString() ?? "none"}; the embedding has {rows} rows");
        (_tokens[id], _types[id]) = (token, type);
    }

    private (string Left, string Right) Merge(JsonNode? node) => node switch
    {
        JsonArray { Count: 2 } pair => (pair[0]!.ToString(), pair[1]!.ToString()),
        JsonValue text when text.ToString().Split(' ') is { Length: 2 } parts => (parts[0], parts[1]),
        _ => throw Wrong($"the merge {node?.ToJsonString()} is not a pair"),
    };

    /// <summary>SentencePiece merges the pair whose result scores highest: earlier merges score higher.</summary>
    private List<float> Scores(JsonObject vocabulary, List<(string Left, string Right)> merges)
    {
        var scores = new float[rows];
        for (var i = merges.Count - 1; i >= 0; i--)
            if (vocabulary[merges[i].Left + merges[i].Right] is JsonValue value && value.TryGetValue<int>(out var id) && id >= 0 && id < rows)
                scores[id] = -i;
        return [.. scores];
    }

    private string PatternName()
    {
        var texts = new List<string>();
        Collect(json["pre_tokenizer"], texts);
        foreach (var (pattern, name) in GgufWords.Patterns)
            if (texts.Contains(pattern))
                return name;
        if (texts.Count == 1 && texts[0] == "ByteLevel")
            return "gpt-2";
        if (texts.SequenceEqual(["Digits", "ByteLevel"]))
            return "smollm";
        Problems.Add(Problem.Warning($"{file}: the way it cuts words has no known name in llama.cpp; 'default' is written, and llama.cpp may cut some texts otherwise"));
        return "default";
    }

    /// <summary>Patterns of splits and names of other steps, in order; a byte-level step that does not split is left out.</summary>
    private static void Collect(JsonNode? step, List<string> texts)
    {
        if (step?["pretokenizers"] is JsonArray steps)
            foreach (var inner in steps)
                Collect(inner, texts);
        else if (step?["type"]?.ToString() is "Split")
            texts.Add(step["pattern"]?["Regex"]?.ToString() ?? "");
        else if (step?["type"]?.ToString() is { } type && step["use_regex"]?.GetValueKind() != System.Text.Json.JsonValueKind.False)
            texts.Add(type);
    }

    /// <summary>Whether a step, or one within it, is of a type.</summary>
    private static bool Contains(JsonNode? step, string type) => step?["type"]?.ToString() == type
        || (step?["normalizers"] as JsonArray ?? step?["pretokenizers"] as JsonArray ?? []).Any(inner => Contains(inner, type));

    private int? Id(JsonNode? token)
    {
        var text = token is JsonObject described ? described["content"]?.ToString() : token?.ToString();
        var at = text is null ? -1 : Array.IndexOf(_tokens, text);
        return at >= 0 ? at : null;
    }

    private InputException Wrong(string what) => new($"{file}: {what}");
}
