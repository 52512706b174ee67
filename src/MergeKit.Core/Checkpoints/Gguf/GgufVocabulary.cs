using System.Text.Json.Nodes;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Checkpoints.Gguf;

/// <summary>The tokenizer in a file's metadata (<c>tokenizer.ggml.*</c>) as tokenizer.json and tokenizer_config.json: byte-level byte-pair encoding with its
/// merges ("gpt2"), or SentencePiece's with scores and byte fallback ("llama").</summary>
/// <remarks>Flags of added tokens (stripping of blanks, whole words) are not in such files. SentencePiece merges the neighbours whose union scores
/// highest; as rules of byte-pair encoding these are all divisions of each token into two, by falling score.</remarks>
internal sealed class GgufVocabulary
{
    private const int Unknown = 2, Control = 3, UserDefined = 4, Unused = 5;
    private const string Blank = "\u2581";
    private readonly GgufHeader _header;
    private readonly string[] _tokens;
    private readonly int[] _types;

    private GgufVocabulary(GgufHeader header, List<object> tokens)
    {
        _header = header;
        _tokens = [.. tokens.Select(token => token as string ?? throw Wrong("a token is no text"))];
        _types = header.Value<List<object>>("tokenizer.ggml.token_type") is { } types ? [.. types.Select(type => type is long number ? (int)number : 1)] : [.. tokens.Select(_ => 1)];
        if (_types.Length != _tokens.Length)
            throw Wrong($"{_tokens.Length} tokens have {_types.Length} types");
    }

    /// <summary>The two files; null where the file has no tokenizer.</summary>
    /// <exception cref="InputException">Its form is not known, or its lists do not fit each other.</exception>
    public static (string Tokenizer, string Settings)? Read(string path)
    {
        var header = GgufHeader.Read(path);
        if (header.Value<string>("tokenizer.ggml.model") is null or "none" or "no_vocab" || header.Value<List<object>>("tokenizer.ggml.tokens") is not { Count: > 0 } tokens)
            return null;
        var vocabulary = new GgufVocabulary(header, tokens);
        return (header.Value<string>("tokenizer.huggingface.json") ?? vocabulary.Tokenizer().ToJsonString(), vocabulary.Settings().ToJsonString());
    }

    private JsonObject Tokenizer()
    {
        var model = _header.Value<string>("tokenizer.ggml.model");
        var (normalizer, words, decoder, bytePair) = model switch
        {
            "gpt2" => ByteLevel(),
            "llama" => SentencePiece(),
            _ => throw Wrong($"it is of the kind '{model}'; gpt2 and llama can be read: put the model's tokenizer.json beside the file"),
        };
        return new JsonObject
        {
            ["version"] = "1.0",
            ["truncation"] = null,
            ["padding"] = null,
            ["added_tokens"] = Added(),
            ["normalizer"] = normalizer,
            ["pre_tokenizer"] = words,
            ["post_processor"] = Template(),
            ["decoder"] = decoder,
            ["model"] = bytePair,
        };
    }

    private (JsonNode?, JsonNode?, JsonNode?, JsonObject) ByteLevel()
    {
        var name = _header.Value<string>("tokenizer.ggml.pre") ?? "default";
        var steps = GgufWords.Steps(name) ?? throw Wrong($"it cuts words as '{name}', which is not known here: put the model's tokenizer.json beside the file");
        var merges = _header.Value<List<object>>("tokenizer.ggml.merges") ?? throw Wrong("it has no merges");
        var byteLevel = new JsonObject { ["type"] = "ByteLevel", ["add_prefix_space"] = false, ["trim_offsets"] = true, ["use_regex"] = false };
        return (GgufWords.Composes(name) ? new JsonObject { ["type"] = "NFC" } : null, new JsonObject { ["type"] = "Sequence", ["pretokenizers"] = steps }, byteLevel,
            Model([.. merges.Select(merge => (merge as string)?.Split(' ') is { Length: 2 } pair ? Pair(pair[0], pair[1]) : throw Wrong($"the merge '{merge}' is not a pair"))], false, GgufWords.IgnoresMerges(name), null));
    }

    private (JsonNode?, JsonNode?, JsonNode?, JsonObject) SentencePiece()
    {
        var prefix = _header.Values.GetValueOrDefault("tokenizer.ggml.add_space_prefix") is not false;
        var replace = new JsonObject { ["type"] = "Replace", ["pattern"] = new JsonObject { ["String"] = " " }, ["content"] = Blank };
        JsonArray normalizers = prefix ? [new JsonObject { ["type"] = "Prepend", ["prepend"] = Blank }, replace] : [replace];
        JsonArray decoders =
        [
            new JsonObject { ["type"] = "Replace", ["pattern"] = new JsonObject { ["String"] = Blank }, ["content"] = " " }, new JsonObject { ["type"] = "ByteFallback" }, new JsonObject { ["type"] = "Fuse" },
        ];
        if (prefix)
            decoders.Add(new JsonObject { ["type"] = "Strip", ["content"] = " ", ["start"] = 1, ["stop"] = 0 });
        var unknown = Token("unknown_token_id") ?? (Array.IndexOf(_types, Unknown) is >= 0 and var at ? _tokens[at] : null);
        return (new JsonObject { ["type"] = "Sequence", ["normalizers"] = normalizers }, null, new JsonObject { ["type"] = "Sequence", ["decoders"] = decoders }, Model(Divisions(), true, false, unknown));
    }

    /// <summary>All divisions of tokens into two, by falling score.</summary>
    private JsonArray Divisions()
    {
        var scores = _header.Value<List<object>>("tokenizer.ggml.scores") is { } list && list.Count == _tokens.Length ? list.ConvertAll(score => score is double value ? value : 0)
            : throw Wrong("it has no scores, or not one per token");
        var ids = new Dictionary<string, int>(StringComparer.Ordinal);
        for (var id = 0; id < _tokens.Length; id++)
            if (_types[id] is not (Control or Unused or Unknown))
                ids.TryAdd(_tokens[id], id);
        var found = new List<(double Score, int Left, int Right)>();
        foreach (var (token, id) in ids)
            for (var cut = 1; cut < token.Length; cut++)
                if (!char.IsLowSurrogate(token[cut]) && ids.TryGetValue(token[..cut], out var left) && ids.TryGetValue(token[cut..], out var right))
                    found.Add((scores[id], left, right));
        return [.. found.OrderByDescending(merge => merge.Score).ThenBy(merge => merge.Left).ThenBy(merge => merge.Right).Select(merge => (JsonNode?)Pair(_tokens[merge.Left], _tokens[merge.Right]))];
    }

    private JsonObject Model(JsonArray merges, bool fallback, bool ignoreMerges, string? unknown)
    {
        var vocabulary = new JsonObject();
        for (var id = 0; id < _tokens.Length; id++)
            if (_types[id] != Unused && !vocabulary.TryAdd(_tokens[id], id))
                throw Wrong($"token '{_tokens[id]}' stands twice, the second time with the id {id}");
        return new JsonObject
        {
            ["type"] = "BPE",
            ["dropout"] = null,
            ["unk_token"] = unknown,
            ["continuing_subword_prefix"] = null,
            ["end_of_word_suffix"] = null,
            ["fuse_unk"] = fallback,
            ["byte_fallback"] = fallback,
            ["ignore_merges"] = ignoreMerges,
            ["vocab"] = vocabulary,
            ["merges"] = merges,
        };
    }

    private JsonArray Added()
    {
        var added = new JsonArray();
        for (var id = 0; id < _tokens.Length; id++)
            if (_types[id] is Control or UserDefined or Unknown)
                added.Add(new JsonObject
                {
                    ["id"] = id,
                    ["content"] = _tokens[id],
                    ["single_word"] = false,
                    ["lstrip"] = false,
                    ["rstrip"] = false,
                    ["normalized"] = false,
                    ["special"] = _types[id] != UserDefined,
                });
        return added;
    }

    /// <summary>Begins (and ends) texts with their tokens where the file says so, or its kind does.</summary>
    private JsonObject? Template()
    {
        var (begins, ends) = (Adds("add_bos_token", _header.Value<string>("tokenizer.ggml.model") == "llama" || GgufWords.IgnoresMerges(_header.Value<string>("tokenizer.ggml.pre") ?? "")), Adds("add_eos_token", false));
        var (bos, eos) = (begins ? Token("bos_token_id") : null, ends ? Token("eos_token_id") : null);
        if (bos is null && eos is null)
            return null;
        var special = new JsonObject();
        foreach (var token in new[] { bos, eos }.OfType<string>().Distinct())
            special[token] = new JsonObject { ["id"] = token, ["ids"] = new JsonArray(Array.IndexOf(_tokens, token)), ["tokens"] = new JsonArray(token) };
        return new JsonObject { ["type"] = "TemplateProcessing", ["single"] = new JsonArray([.. Parts("A", 0)]), ["pair"] = new JsonArray([.. Parts("A", 0), .. Parts("B", 1)]), ["special_tokens"] = special };

        IEnumerable<JsonNode> Parts(string sequence, int type)
        {
            if (bos is not null)
                yield return new JsonObject { ["SpecialToken"] = new JsonObject { ["id"] = bos, ["type_id"] = type } };
            yield return new JsonObject { ["Sequence"] = new JsonObject { ["id"] = sequence, ["type_id"] = type } };
            if (eos is not null)
                yield return new JsonObject { ["SpecialToken"] = new JsonObject { ["id"] = eos, ["type_id"] = type } };
        }
    }

    private JsonObject Settings()
    {
        var settings = new JsonObject { ["tokenizer_class"] = "PreTrainedTokenizerFast" };
        foreach (var (key, name) in new[] { ("bos_token", "bos_token_id"), ("eos_token", "eos_token_id"), ("unk_token", "unknown_token_id"), ("pad_token", "padding_token_id") })
            if (Token(name) is { } token)
                settings[key] = token;
        foreach (var key in new[] { "add_bos_token", "add_eos_token" })
            if (_header.Values.GetValueOrDefault($"tokenizer.ggml.{key}") is bool adds)
                settings[key] = adds;
        if (_header.Value<string>("tokenizer.chat_template") is { } template)
            settings["chat_template"] = template;
        return settings;
    }

    private bool Adds(string key, bool otherwise) => _header.Values.GetValueOrDefault($"tokenizer.ggml.{key}") is bool adds ? adds : otherwise;

    private string? Token(string key) => _header.Number($"tokenizer.ggml.{key}") is { } id && id >= 0 && id < _tokens.Length ? _tokens[(int)id] : null;

    private static JsonArray Pair(string left, string right) => [left, right];

    private InputException Wrong(string what) => new($"{_header.Path}: its tokenizer cannot be read: {what}");
}
