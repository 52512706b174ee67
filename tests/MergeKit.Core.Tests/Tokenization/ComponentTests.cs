using MergeKit.Core.Tokenization;

namespace MergeKit.Core.Tests.Tokenization;

/// <summary>What each component does, worked out by hand from its definition. LibraryResultsTests has the wide net.</summary>
public sealed class ComponentTests
{
    [Theory]
    [InlineData("NFC", "e\u0301 \u212B \u1100\u1161\u11A8 \u0958", "\u00E9 \u00C5 \uAC01 \u0915\u093C")]
    [InlineData("NFD", "\u00E9 \u1E69 \uAC01 \uFB01", "e\u0301 s\u0323\u0307 \u1100\u1161\u11A8 \uFB01")]
    [InlineData("NFKC", "\uFB01 \u2460 \uFF21 \u00BD \u01C6", "fi 1 A 1\u20442 d\u017E")]
    [InlineData("NFKD", "\u01C6 \u33A1", "dz\u030C m2")]
    [InlineData("NFC", "a\u0323\u0307 a\u0307\u0323 q\u0307\u0323", "\u1EA1\u0307 \u1EA1\u0307 q\u0323\u0307")]
    [InlineData("Lowercase", "\u00C0\u03A3 \u0130 \u1E9E \U00010400", "\u00E0\u03C3 i\u0307 \u00DF \U00010428")]
    [InlineData("StripAccents", "e\u0301 \u00E9", "e \u00E9")]
    [InlineData("Nmt", "a\u0007b\u200Bc\td", "ab c d")]
    [InlineData("ByteLevel", "a \u00E9", "a\u0120\u00C3\u00A9")]
    [InlineData("Strip", " \u3000a b\n", "a b")]
    [InlineData("BertNormalizer", "\u00C9t\u00E9\t\u4E2D\u0000x", "ete  \u4E2D x")]
    public void Normalizers(string type, string text, string expected) =>
        Assert.Equal(expected, string.Concat(TokenizerJson.Pieces(text, $$"""{"type":"{{type}}"}""")));

    [Fact]
    public void Normalization_works_where_the_framework_does_none()
    {
        // The runtime is globalization-invariant here: its own Normalize leaves this text alone.
        Assert.Equal("e\u0301", "e\u0301".Normalize(System.Text.NormalizationForm.FormC));
        Assert.Equal(["\u00E9"], TokenizerJson.Pieces("e\u0301", """{"type":"NFC"}"""));
    }

    [Theory]
    [InlineData("Removed", false, "the|final|countdown")]
    [InlineData("Isolated", false, "the|-|final|-|-|countdown")]
    [InlineData("MergedWithPrevious", false, "the-|final-|-|countdown")]
    [InlineData("MergedWithNext", false, "the|-final|-|-countdown")]
    [InlineData("Contiguous", false, "the|-|final|--|countdown")]
    [InlineData("Removed", true, "-|-|-")]
    [InlineData("MergedWithNext", true, "the-|final-|-|countdown")]
    public void Split_behaviors(string behavior, bool invert, string expected) =>
        Assert.Equal(expected.Split('|'), TokenizerJson.Pieces("the-final--countdown", preTokenizer:
            $$"""{"type":"Split","pattern":{"String":"-"},"behavior":"{{behavior}}","invert":{{(invert ? "true" : "false")}}}"""));

    [Theory]
    [InlineData("""{"type":"Whitespace"}""", "Hey, you_2!", "Hey|,|you_2|!")]
    [InlineData("""{"type":"WhitespaceSplit"}""", " Hey,\tyou ", "Hey,|you")]
    [InlineData("""{"type":"BertPreTokenizer"}""", "a+b \u3002c", "a|+|b|\u3002|c")]
    [InlineData("""{"type":"Punctuation"}""", "a,,b", "a|,|,|b")]
    [InlineData("""{"type":"Digits","individual_digits":false}""", "a12\u00BDb", "a|12\u00BD|b")]
    [InlineData("""{"type":"Digits","individual_digits":true}""", "a12b", "a|1|2|b")]
    [InlineData("""{"type":"CharDelimiterSplit","delimiter":"-"}""", "-a--b", "a|b")]
    [InlineData("""{"type":"UnicodeScripts"}""", "\u3042\u30A2\u6F22 abc\u03B1", "\u3042\u30A2\u6F22 |abc|\u03B1")]
    [InlineData("""{"type":"FixedLength","length":2}""", "a\U0001F600bcd", "a\U0001F600|bc|d")]
    [InlineData("""{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true}""", "hi you're", "\u0120hi|\u0120you|'re")]
    [InlineData("""{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":false}""", "hi you", "hi\u0120you")]
    [InlineData("""{"type":"Metaspace","replacement":"\u2581","prepend_scheme":"always"}""", "hi  you", "\u2581hi|\u2581|\u2581you")]
    [InlineData("""{"type":"Metaspace","replacement":"\u2581","add_prefix_space":false}""", "hi you", "hi|\u2581you")]
    [InlineData("""{"type":"Metaspace","replacement":"\u2581","split":false}""", " hi you", "\u2581hi\u2581you")]
    public void Pre_tokenizers(string json, string text, string expected) =>
        Assert.Equal(expected.Split('|'), TokenizerJson.Pieces(text, preTokenizer: json));

    [Fact]
    public void Metaspace_first_marks_the_beginning_of_the_input_alone()
    {
        const string meta = """{"type":"Metaspace","replacement":"\u2581","prepend_scheme":"first"}""";
        var added = $"[{TokenizerJson.Added(1, "<s>")}]";
        Assert.Equal(["\u2581a", "<s>", "b", "\u2581c"], TokenizerJson.Pieces("a<s>b c", preTokenizer: meta, addedTokens: added));
        Assert.Equal(["<s>", "a"], TokenizerJson.Pieces("<s>a", preTokenizer: meta, addedTokens: added));
    }

    [Theory]
    [InlineData("\"special\":true", "a <m> b", "a |<m>| b")]
    [InlineData("\"special\":true,\"lstrip\":true", "a <m> b", "a| <m>| b")]
    [InlineData("\"special\":true,\"rstrip\":true", "a <m>  b", "a |<m>  |b")]
    [InlineData("\"special\":false,\"single_word\":true", "x<m>y <m>", "x<m>y |<m>")]
    [InlineData("\"special\":false,\"normalized\":true", "a <M> b", "a |<m>| b")]
    public void Added_tokens(string flags, string text, string expected) => Assert.Equal(expected.Split('|'),
        TokenizerJson.Pieces(text, """{"type":"Lowercase"}""", addedTokens: $"[{TokenizerJson.Added(1, "<m>", flags)}]"));

    [Fact]
    public void The_longest_added_token_that_starts_leftmost_counts()
    {
        var added = $"[{TokenizerJson.Added(1, "ab")},{TokenizerJson.Added(2, "abcd")},{TokenizerJson.Added(3, "bcdef")}]";
        Assert.Equal(["abcd", "ef", "ab", "ce"], TokenizerJson.Pieces("abcdefabce", addedTokens: added));
    }

    [Theory]
    [InlineData("""{"type":"Strip","content":" ","start":1,"stop":2}""", "\u00D7a  ", "\u00D7a")]
    [InlineData("""{"type":"Sequence","decoders":[{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":2}]}""", "\u00D7a  ", "\u00D7a")]
    [InlineData("""{"type":"BPEDecoder","suffix":"</w>"}""", "a</w>|b|c</w>", "a bc")]
    [InlineData("""{"type":"WordPiece","prefix":"##","cleanup":true}""", "un|##aff|able|.", "unaff able.")]
    [InlineData("""{"type":"CTC","pad_token":"<pad>","word_delimiter_token":"|","cleanup":false}""", "h|h|<pad>|h|i", "hhi")]
    [InlineData("""{"type":"ByteFallback"}""", "<0xE2>|<0x82>|<0xAC>|x|<0xE2>|<0x82>", "\u20ACx\uFFFD\uFFFD")]
    [InlineData("""{"type":"Metaspace","replacement":"\u2581"}""", "\u2581a|b|\u2581c", "ab c")]
    [InlineData("null", "a|b", "a b")]
    public void Decoders(string json, string tokens, string expected)
    {
        var distinct = tokens.Split('|').Distinct().ToList();
        var vocabulary = distinct.Select((token, id) => $"{System.Text.Json.JsonSerializer.Serialize(token)}:{id}");
        var tokenizer = Tokenizer.Parse("test", TokenizerJson.File($$$"""{"type":"WordLevel","unk_token":"?","vocab":{{{{string.Join(",", vocabulary)}}}}}""", decoder: json));
        var ids = tokens.Split('|').Select(token => distinct.IndexOf(token)).ToArray();
        Assert.Equal(expected, tokenizer.Decode(ids));
        Assert.Equal(expected, TokenizerCases.Stream(tokenizer, ids));
    }

    [Fact]
    public void Unigram_takes_the_best_path_and_fuses_unknowns()
    {
        const string model = """{"type":"Unigram","unk_id":0,"vocab":[["<unk>",0],["a",-1],["b",-1],["ab",-1.5],["abc",-9],["c",-2]]}""";
        Assert.Equal([3, 5, 0, 1], Tokenizer.Parse("test", TokenizerJson.File(model)).Encode("abcxya"));
    }

    [Fact]
    public void Word_pieces_are_the_longest_from_the_left_or_none()
    {
        const string model = """{"type":"WordPiece","unk_token":"?","continuing_subword_prefix":"##","max_input_chars_per_word":5,"vocab":{"?":0,"un":1,"u":2,"##n":3,"##a":4}}""";
        var tokenizer = Tokenizer.Parse("test", TokenizerJson.File(model, preTokenizer: """{"type":"WhitespaceSplit"}"""));
        Assert.Equal([1, 4, 0, 0], tokenizer.Encode("una unx unanan"));
    }
}
