using MergeKit.Core.Diagnostics;
using MergeKit.Core.Tokenization;

namespace MergeKit.Core.Tests.Tokenization;

public sealed class HostileInputTests
{
    [Theory]
    [InlineData("", "not valid JSON")]
    [InlineData("[]", "is not a JSON object")]
    [InlineData("{}", "$.model")]
    [InlineData("{\"model\":3}", "$.model is 3")]
    [InlineData("{\"version\":\"2.0\",\"model\":{}}", "$.version")]
    [InlineData("{\"models\":{},\"model\":{}}", "unknown section 'models'")]
    [InlineData("{\"model\":{\"type\":\"BPF\",\"vocab\":{}}}", "Did you mean 'BPE'")]
    public void Malformed_files_are_refused_by_name(string json, string expected) => Refused(json, expected);

    [Theory]
    [InlineData("{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a b\"]}", "$.model.merges[0]")]
    [InlineData("{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a\"]}", "$.model.merges[0]")]
    [InlineData("{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[[\"a\"]]}", "$.model.merges[0]")]
    [InlineData("{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[[\"a\",1]]}", "$.model.merges[0]")]
    [InlineData("{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[7]}", "$.model.merges[0]")]
    [InlineData("{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}", "$.model.vocab['a'] is -1")]
    [InlineData("{\"type\":\"BPE\",\"vocab\":{\"a\":4000000000},\"merges\":[]}", "$.model.vocab['a']")]
    [InlineData("{\"type\":\"BPE\",\"vocab\":[],\"merges\":[]}", "$.model.vocab")]
    [InlineData("{\"type\":\"BPE\",\"vocab\":{\"a\":0}}", "$.model.merges is absent")]
    [InlineData("{\"type\":\"BPE\",\"dropout\":0.1,\"vocab\":{\"a\":0},\"merges\":[]}", "$.model.dropout is 0.1")]
    [InlineData("{\"type\":\"Unigram\",\"unk_id\":1,\"vocab\":[[\"a\",0]]}", "$.model.unk_id is 1")]
    [InlineData("{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"a\"]]}", "$.model.vocab[0]")]
    [InlineData("{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"a\",1e999]]}", "$.model.vocab[0][1]")]
    public void Malformed_models_are_refused_by_place(string model, string expected) => Refused(TokenizerJson.File(model), expected);

    [Theory]
    [InlineData("{\"type\":\"NFX\"}", "$.normalizer is a normalizer of type 'NFX'")]
    [InlineData("{\"type\":\"Sequence\",\"normalizers\":[null]}", "$.normalizer.normalizers[0]")]
    [InlineData("{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"(a\"},\"content\":\"\"}", "'(' without ')'")]
    [InlineData("{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"\\\\Xa\"},\"content\":\"\"}", "'\\X', which is not supported")]
    [InlineData("{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"\\\\p{Nonsense}\"},\"content\":\"\"}", "unknown property 'Nonsense'")]
    [InlineData("{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"(((a{1000}){1000}){1000})\"},\"content\":\"\"}", "more than 50000 steps")]
    [InlineData("{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"a{9999}\"},\"content\":\"\"}", "repetition outside")]
    [InlineData("{\"type\":\"Replace\",\"pattern\":{},\"content\":\"\"}", "$.normalizer.pattern")]
    [InlineData("{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"!\"}", "base64")]
    [InlineData("{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AAA=\"}", "at least 4 bytes")]
    [InlineData("{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"/////w==\"}", "trie (4294967295 bytes)")]
    public void Malformed_normalizers_are_refused_by_place(string normalizer, string expected) =>
        Refused(TokenizerJson.File(normalizer: normalizer), expected);

    [Theory]
    [InlineData("{\"type\":\"Split\",\"pattern\":{\"String\":\" \"},\"behavior\":\"Gone\"}", "$.pre_tokenizer.behavior is \"Gone\"")]
    [InlineData("{\"type\":\"Metaspace\",\"replacement\":\"ab\"}", "$.pre_tokenizer.replacement")]
    [InlineData("{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"last\"}", "$.pre_tokenizer.prepend_scheme")]
    [InlineData("{\"type\":\"CharDelimiterSplit\",\"delimiter\":\"\"}", "$.pre_tokenizer.delimiter")]
    [InlineData("{\"type\":\"FixedLength\",\"length\":0}", "$.pre_tokenizer.length")]
    [InlineData("{\"type\":\"Whitespce\"}", "Did you mean 'Whitespace'")]
    public void Malformed_pre_tokenizers_are_refused_by_place(string preTokenizer, string expected) =>
        Refused(TokenizerJson.File(preTokenizer: preTokenizer), expected);

    [Fact]
    public void Deep_nesting_is_refused()
    {
        var deep = string.Concat(Enumerable.Repeat("{\"type\":\"Sequence\",\"normalizers\":[", 5000))
            + string.Concat(Enumerable.Repeat("]}", 5000));
        Refused(TokenizerJson.File(normalizer: deep), "not valid JSON");
        Refused(TokenizerJson.File(normalizer: "{\"type\":\"Replace\",\"content\":\"\",\"pattern\":{\"Regex\":\"" + new string('(', 10000) + "\"}}"), "nested deeper");
        Refused(TokenizerJson.File(normalizer: "{\"type\":\"Replace\",\"content\":\"\",\"pattern\":{\"Regex\":\"" + new string('[', 10000) + "\"}}"), "nested deeper");
    }

    [Fact]
    public void An_expression_that_backtracks_without_end_is_stopped()
    {
        var tokenizer = Tokenizer.Parse("test", TokenizerJson.File(preTokenizer:
            """{"type":"Split","pattern":{"Regex":"(a|aa|a?)+$b"},"behavior":"Isolated","invert":false}"""));
        var error = Assert.Throws<InputException>(() => tokenizer.Encode(new string('a', 60)));
        Assert.Contains("$.pre_tokenizer.pattern", error.Message, StringComparison.Ordinal);
        Assert.Contains("too many steps", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Random_trie_bytes_never_break_the_character_map()
    {
        var random = new TestText(6);
        for (var round = 0; round < 200; round++)
        {
            var blob = Enumerable.Range(0, 4 + 64).Select(_ => (byte)random.Below(256)).ToArray();
            BitConverter.TryWriteBytes(blob, 48);
            var normalizer = $$"""{"type":"Precompiled","precompiled_charsmap":"{{Convert.ToBase64String(blob)}}"}""";
            Assert.NotNull(TokenizerJson.Pieces(random.Next(), normalizer));
        }
    }

    [Fact]
    public void Unpaired_surrogates_count_as_replacement_characters()
    {
        var tokenizer = Tokenizer.Parse("test", TokenizerJson.ByteLevelFile(TokenizerJson.ByteModel()));
        Assert.Equal(tokenizer.Encode("a\uFFFDb\uFFFD\U0001F600\uFFFD"), tokenizer.Encode("a\uDC00b\uD800\uD83D\uDE00\uD83D"));
    }

    [Fact]
    public void Unused_ids_are_passed_over_when_decoding()
    {
        var tokenizer = Tokenizer.Parse("test", TokenizerJson.ByteLevelFile(TokenizerJson.ByteModel()));
        var ids = tokenizer.Encode("ab");
        Assert.Equal("ab", tokenizer.Decode([-1, ids[0], 100_000, int.MaxValue, ids[1], int.MinValue]));
        Assert.Null(tokenizer.IdToToken(-1));
        Assert.False(tokenizer.IsSpecial(int.MaxValue));
    }

    [Fact]
    public void A_very_long_word_takes_no_quadratic_time()
    {
        var tokenizer = Tokenizer.Parse("test", TokenizerJson.ByteLevelFile(TokenizerJson.ByteModel(("a", "a"), ("aa", "aa"),
            ("aaaa", "aaaa"))));
        var ids = tokenizer.Encode(new string('a', 400_001));
        Assert.Equal(50_001, ids.Length);
    }

    [Fact]
    public void Text_that_cannot_be_expressed_is_named()
    {
        var tokenizer = Tokenizer.Parse("tiny.json",
            TokenizerJson.File("{\"type\":\"WordLevel\",\"unk_token\":\"[UNK]\",\"vocab\":{\"a\":0}}"));
        var error = Assert.Throws<InputException>(() => tokenizer.Encode("zebra"));
        Assert.Equal("tiny.json: 'zebra' is not in the vocabulary, and neither is the unknown token '[UNK]'", error.Message);
    }

    [Fact]
    public void A_missing_file_is_named()
    {
        var error = Assert.Throws<InputException>(() => Tokenizer.Load("/does/not/exist"));
        Assert.Contains("/does/not/exist", error.Message, StringComparison.Ordinal);
    }

    private static void Refused(string json, string expected)
    {
        var error = Assert.Throws<InputException>(() => Tokenizer.Parse("bad.json", json));
        Assert.Contains("bad.json", error.Message, StringComparison.Ordinal);
        Assert.Contains(expected, error.Message, StringComparison.Ordinal);
    }
}
