using System.Text.Json;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Tokenization;
using MergeKit.Core.Tokenization.Vocabularies;

namespace MergeKit.Core.Tests.Tokenization.Vocabularies;

/// <summary>United tokenizers as they are written: read again, every token has its planned id, and text survives encoding and decoding.</summary>
public class VocabularyUnionTests
{
    private const string Chat = "<|im_start|>";

    private static readonly string[] Texts = ["the other thing", "h\u00e9llo, w\u00f6rld! \u4f60\u597d", "  two  blanks\n", Chat + "user\nhello the" + Chat, "other hello thehello"];

    public static TheoryData<string> Kinds => ["bytes", "metaspace", "unigram", "wordpiece"];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Tokens_have_their_planned_ids_and_text_survives(string kind)
    {
        var (first, second) = Pair(kind);
        var draft = Unite(first, second);
        var written = Written(draft);
        Assert.Equal(draft.Ids.OrderBy(pair => pair.Value), written.Vocabulary.OrderBy(pair => pair.Value));
        Assert.All(first.Vocabulary, pair => Assert.Equal(pair.Value, written.TokenToId(pair.Key)));
        Assert.All(second.Vocabulary.Keys, token => Assert.NotNull(written.TokenToId(token)));
        Assert.Equal(Enumerable.Range(0, written.VocabularySize), written.Vocabulary.Values.Distinct().Order());
        Assert.True(written.IsSpecial(written.TokenToId(Chat)!.Value));
        Assert.All(Texts, text => Assert.Equal(Back(second, text), Back(written, text)));
        if (kind == "bytes")
            Assert.All(Texts, text => Assert.Equal(text, Back(written, text)));
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Text_is_encoded_with_the_new_tokens(string kind)
    {
        var (first, second) = Pair(kind);
        var written = Written(Unite(first, second));
        var tokens = written.EncodeWithTokens("hello other", addSpecialTokens: false).Tokens;
        Assert.All(kind == "bytes" ? ["hello", "\u0120other"] : kind == "wordpiece" ? new[] { "hello", "other" } : ["\u2581hello", "\u2581other"],
            token => Assert.Contains(token, tokens));
        Assert.DoesNotContain(first.EncodeWithTokens("hello other", addSpecialTokens: false).Tokens, token => token.Contains("hello", StringComparison.Ordinal));
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void United_with_itself_it_is_unchanged(string kind)
    {
        var (first, _) = Pair(kind);
        var draft = Unite(first, Tokenizer.Parse("same", first.Text));
        Assert.False(draft.IsChanged);
        Assert.Equal(first.Vocabulary.Count, draft.Ids.Count);
    }

    [Fact]
    public void An_added_token_alone_leaves_vocabulary_and_merges_as_they_are()
    {
        var (first, _) = Pair("bytes");
        var draft = Unite(first, Tokenizer.Parse("chat", Bytes([("h", "e"), ("t", "he")], ["<|end|>", "<|tool|>"])));
        using var before = JsonDocument.Parse(first.Text);
        using var after = JsonDocument.Parse(TokenizerJsonWriter.Write(draft));
        foreach (var section in new[] { "vocab", "merges" })
            Assert.True(JsonElement.DeepEquals(before.RootElement.GetProperty("model").GetProperty(section), after.RootElement.GetProperty("model").GetProperty(section)));
        Assert.Equal(first.VocabularySize, Written(draft).TokenToId("<|tool|>"));
    }

    [Theory]
    [InlineData("bytes", "unigram", "spells text byte by byte")]
    [InlineData("metaspace", "unigram", "one is a BPE model, the other a Unigram model")]
    [InlineData("bytes", "metaspace", "spells text byte by byte")]
    public void Tokenizers_that_spell_text_in_different_ways_are_refused(string kind, string other, string why)
    {
        var problems = new List<Problem>();
        VocabularyUnion.Unite([Member("a", Pair(kind).First), Member("b", Pair(other).Second)], problems);
        var error = Assert.Single(problems, problem => problem.Severity == Severity.Error);
        Assert.Contains(why, error.Message, StringComparison.Ordinal);
        Assert.Contains("transplant-tokenizer", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Clashing_added_tokens_keep_the_first_ones_settings_with_a_warning()
    {
        var (first, second) = (Tokenizer.Parse("a", Bytes([], ["<x>"])), Tokenizer.Parse("b", Bytes([], ["<x>"], "\"special\":true,\"lstrip\":true")));
        var problems = new List<Problem>();
        var draft = VocabularyUnion.Unite([Member("a", first), Member("b", second)], problems);
        Assert.Contains("'<x>'", Assert.Single(problems).Message, StringComparison.Ordinal);
        Assert.False(draft.IsChanged);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Tokens_without_a_row_are_taken_out(string kind)
    {
        var (first, _) = Pair(kind);
        var limit = first.ModelVocabulary.Ids.Count - 2;
        var draft = new TokenizerDraft(first, limit);
        var written = Written(draft);
        Assert.Equal(limit, written.VocabularySize);
        Assert.Equal(first.Vocabulary.Where(pair => pair.Value < limit).OrderBy(pair => pair.Value), written.Vocabulary.OrderBy(pair => pair.Value));
        Assert.All(written.Encode("the other hello", addSpecialTokens: false), id => Assert.InRange(id, 0, limit - 1));
    }

    /// <summary>A text encoded and decoded; some tokenizers fold or add blanks by nature.</summary>
    private static string Back(Tokenizer tokenizer, string text) => tokenizer.Decode(tokenizer.Encode(text, addSpecialTokens: false));

    private static TokenizerDraft Unite(Tokenizer first, Tokenizer second)
    {
        var problems = new List<Problem>();
        var draft = VocabularyUnion.Unite([Member("a", first), Member("b", second)], problems);
        Assert.DoesNotContain(problems, problem => problem.Severity == Severity.Error);
        return draft;
    }

    private static Tokenizer Written(TokenizerDraft draft)
    {
        var written = Tokenizer.Parse("written", TokenizerJsonWriter.Write(draft));
        Assert.DoesNotContain(written.Problems, problem => problem.Severity == Severity.Warning);
        return written;
    }

    private static UnionMember Member(string name, Tokenizer tokenizer) => new(name, tokenizer, int.MaxValue);

    /// <summary>A tokenizer, and another that also knows "hello" and "other"; both with added tokens outside the model's vocabulary.</summary>
    private static (Tokenizer First, Tokenizer Second) Pair(string kind) => kind switch
    {
        "bytes" => (Tokenizer.Parse("a", Bytes([("h", "e"), ("t", "he")], ["<|end|>"])), Tokenizer.Parse("b", Bytes(
            [("l", "l"), ("h", "e"), ("he", "ll"), ("hell", "o"), ("t", "h"), ("th", "e"), ("o", "the"), ("othe", "r"), ("\u0120", "other")], [Chat, "<|end|>"]))),
        "metaspace" => (Tokenizer.Parse("a", Metaspace([("h", "e"), ("\u2581", "t")])), Tokenizer.Parse("b", Metaspace(
            [("l", "l"), ("h", "e"), ("he", "ll"), ("hell", "o"), ("\u2581", "hello"), ("t", "h"), ("th", "e"), ("o", "the"), ("othe", "r"), ("\u2581", "other")]))),
        "unigram" => (Tokenizer.Parse("a", Unigram([])), Tokenizer.Parse("b", Unigram([("\u2581hello", -3), ("\u2581other", -3.5)]))),
        _ => (Tokenizer.Parse("a", WordPiece([])), Tokenizer.Parse("b", WordPiece(["hello", "other"]))),
    };

    private static string Bytes((string, string)[] merges, string[] added, string flags = "\"special\":true")
    {
        var model = TokenizerJson.ByteModel(merges);
        var size = 256 + merges.Length;
        return TokenizerJson.ByteLevelFile(model, $"[{string.Join(",", added.Select((token, i) => TokenizerJson.Added(size + i, token, flags)))}]");
    }

    private static string Metaspace((string Left, string Right)[] merges)
    {
        string[] tokens = ["<unk>", "\u2581", .. Enumerable.Range(0, 256).Select(value => $"<0x{value:X2}>"), .. "abcdefghijklmnopqrstuvwxyz".Select(c => c.ToString()), .. merges.Select(pair => pair.Left + pair.Right)];
        var vocabulary = string.Join(",", tokens.Select((token, id) => $"{JsonSerializer.Serialize(token)}:{id}"));
        var pairs = string.Join(",", merges.Select(pair => JsonSerializer.Serialize(new[] { pair.Left, pair.Right })));
        return TokenizerJson.File($$"""{"type":"BPE","unk_token":"<unk>","fuse_unk":true,"byte_fallback":true,"vocab":{{{vocabulary}}},"merges":[{{pairs}}]}""",
            normalizer: """{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"\u2581"},{"type":"Replace","pattern":{"String":" "},"content":"\u2581"}]}""",
            decoder: """{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"\u2581"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]}""",
            addedTokens: $"[{TokenizerJson.Added(0, "<unk>")},{TokenizerJson.Added(tokens.Length, "<|end|>")},{TokenizerJson.Added(tokens.Length + 1, Chat)}]");
    }

    private static string Unigram((string Token, double Score)[] more)
    {
        (string, double)[] pieces = [("<unk>", 0), ("\u2581", -5), .. "abcdefghijklmnopqrstuvwxyz,!".Select(c => (c.ToString(), -6.0)), .. Enumerable.Range(0, 256).Select(value => ($"<0x{value:X2}>", -9.0)), .. more];
        var vocabulary = string.Join(",", pieces.Select(piece => $"[{JsonSerializer.Serialize(piece.Item1)},{piece.Item2.ToString(System.Globalization.CultureInfo.InvariantCulture)}]"));
        return TokenizerJson.File($$"""{"type":"Unigram","unk_id":0,"byte_fallback":true,"vocab":[{{vocabulary}}]}""",
            preTokenizer: """{"type":"Metaspace","replacement":"\u2581","prepend_scheme":"always","split":true}""",
            decoder: """{"type":"Sequence","decoders":[{"type":"ByteFallback"},{"type":"Metaspace","replacement":"\u2581","prepend_scheme":"always","split":true}]}""",
            addedTokens: $"[{TokenizerJson.Added(0, "<unk>")},{TokenizerJson.Added(pieces.Length, "<|end|>")},{TokenizerJson.Added(pieces.Length + 1, Chat)}]");
    }

    private static string WordPiece(string[] more)
    {
        string[] tokens = ["[UNK]", .. "abcdefghijklmnopqrstuvwxyz".Select(c => c.ToString()), .. "abcdefghijklmnopqrstuvwxyz".Select(c => "##" + c), .. more];
        var vocabulary = string.Join(",", tokens.Select((token, id) => $"{JsonSerializer.Serialize(token)}:{id}"));
        return TokenizerJson.File($$$"""{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":100,"vocab":{{{{vocabulary}}}}}""",
            preTokenizer: """{"type":"WhitespaceSplit"}""", decoder: """{"type":"WordPiece","prefix":"##","cleanup":false}""",
            addedTokens: $"[{TokenizerJson.Added(0, "[UNK]")},{TokenizerJson.Added(tokens.Length, "<|end|>")},{TokenizerJson.Added(tokens.Length + 1, Chat)}]");
    }
}
