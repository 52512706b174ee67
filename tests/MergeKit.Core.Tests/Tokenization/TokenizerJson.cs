using MergeKit.Core.Tokenization;

namespace MergeKit.Core.Tests.Tokenization;

/// <summary>Small tokenizer files for tests.</summary>
internal static class TokenizerJson
{
    /// <summary>A model that knows no text: every piece comes out as one token with the piece's own text.</summary>
    public const string Probe = """{"type":"Unigram","unk_id":0,"vocab":[["\udbff\udffe",0]],"byte_fallback":false}""";

    /// <summary>A file of components given as JSON.</summary>
    public static string File(string model = Probe, string normalizer = "null", string preTokenizer = "null", string postProcessor = "null",
        string decoder = "null", string addedTokens = "[]") =>
        $$"""
        {"version":"1.0","truncation":null,"padding":null,"added_tokens":{{addedTokens}},"normalizer":{{normalizer}},
         "pre_tokenizer":{{preTokenizer}},"post_processor":{{postProcessor}},"decoder":{{decoder}},"model":{{model}}}
        """;

    /// <summary>The pieces into which a text falls.</summary>
    public static IReadOnlyList<string> Pieces(string text, string normalizer = "null", string preTokenizer = "null",
        string addedTokens = "[]") =>
        Tokenizer.Parse("probe", File(Probe, normalizer, preTokenizer, addedTokens: addedTokens)).EncodeWithTokens(text).Tokens;

    /// <summary>One entry of added_tokens; flags in further JSON members.</summary>
    public static string Added(int id, string content, string flags = "\"special\":true") =>
        $$"""{"id":{{id}},"content":{{System.Text.Json.JsonSerializer.Serialize(content)}},{{flags}}}""";

    /// <summary>A byte-level BPE without merges: 256 tokens, one per byte.</summary>
    public static string ByteModel(params (string Left, string Right)[] merges)
    {
        var tokens = Enumerable.Range(0, 256).Select(b => ByteAlphabet.Char((byte)b).ToString())
            .Concat(merges.Select(m => m.Left + m.Right)).Distinct();
        var vocabulary = tokens.Select((token, id) => $"{System.Text.Json.JsonSerializer.Serialize(token)}:{id}");
        var pairs = merges.Select(m => System.Text.Json.JsonSerializer.Serialize($"{m.Left} {m.Right}"));
        return $$"""{"type":"BPE","vocab":{{{string.Join(",", vocabulary)}}},"merges":[{{string.Join(",", pairs)}}]}""";
    }

    /// <summary>The components of GPT-2: ByteLevel before and after.</summary>
    public static string ByteLevelFile(string model, string addedTokens = "[]") => File(model,
        preTokenizer: """{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true}""",
        decoder: """{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true}""", addedTokens: addedTokens);
}
