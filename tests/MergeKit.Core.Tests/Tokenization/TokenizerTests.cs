using MergeKit.Core.Tokenization;

namespace MergeKit.Core.Tests.Tokenization;

public sealed class TokenizerTests
{
    private static readonly string Bytes = TokenizerJson.ByteLevelFile(TokenizerJson.ByteModel(("t", "h"), ("th", "e")),
        $"[{TokenizerJson.Added(258, "<s>")},{TokenizerJson.Added(259, "</s>")},{TokenizerJson.Added(260, "<tool>", "\"special\":false")}]");

    [Fact]
    public void Byte_level_text_survives_a_round_trip()
    {
        var tokenizer = Tokenizer.Parse("test", Bytes);
        var texts = new TestText(20);
        for (var i = 0; i < 3000; i++)
        {
            var text = texts.Next();
            Assert.Equal(text, tokenizer.Decode(tokenizer.Encode(text)));
        }
    }

    [Fact]
    public void Text_with_byte_fallback_survives_a_round_trip()
    {
        var vocabulary = Enumerable.Range(0, 256).Select(b => $"\"<0x{b:X2}>\":{b + 1}")
            .Append("\"<unk>\":0").Append("\"\u2581\":257").Append("\"a\":258");
        var tokenizer = Tokenizer.Parse("test", TokenizerJson.File(
            $$"""{"type":"BPE","unk_token":"<unk>","byte_fallback":true,"fuse_unk":true,"vocab":{{{string.Join(",", vocabulary)}}},"merges":[]}""",
            normalizer: """{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"\u2581"},{"type":"Replace","pattern":{"String":" "},"content":"\u2581"}]}""",
            decoder: """{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"\u2581"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]}"""));
        var texts = new TestText(21);
        for (var i = 0; i < 1000; i++)
        {
            var text = texts.Next().Replace('\u2581', '_');
            Assert.Equal(text, tokenizer.Decode(tokenizer.Encode(text)));
        }
    }

    [Fact]
    public void Streamed_texts_join_to_the_decoded_text_for_any_ids()
    {
        var tokenizer = Tokenizer.Parse("test", Bytes);
        var random = new TestText(22);
        for (var i = 0; i < 1000; i++)
        {
            var ids = Enumerable.Range(0, random.Below(30)).Select(_ => random.Below(265)).ToArray();
            foreach (var skip in new[] { true, false })
                Assert.Equal(tokenizer.Decode(ids, skip), TokenizerCases.Stream(tokenizer, ids, skip));
        }
    }

    [Fact]
    public void A_stream_holds_incomplete_text_back()
    {
        var tokenizer = Tokenizer.Parse("test", Bytes);
        var stream = tokenizer.CreateStreamDecoder();
        var ids = tokenizer.Encode("a\u20ACb");
        Assert.Equal(["a", "", "", "\u20AC", "b"], ids.Select(stream.Append));
        Assert.Equal("", stream.Flush());
        stream.Append(ids[1]);
        Assert.Equal("\uFFFD", stream.Flush());
        Assert.Equal("a", stream.Append(ids[0]));
    }

    [Fact]
    public void Special_tokens_are_found_in_text_and_left_out_on_request()
    {
        var tokenizer = Tokenizer.Parse("test", Bytes, """{"bos_token":"<s>","eos_token":{"content":"</s>"},"pad_token":null}""");
        var ids = tokenizer.Encode("<s>the<tool></s>");
        Assert.Equal([258, 257, 260, 259], ids);
        Assert.Equal("<s>the<tool></s>", tokenizer.Decode(ids));
        Assert.Equal("the<tool>", tokenizer.Decode(ids, skipSpecialTokens: true));
        Assert.Equal((258, 259, null, null), (tokenizer.BosId, tokenizer.EosId, tokenizer.PadId, tokenizer.UnkId));
        Assert.True(tokenizer.IsSpecial(258));
        Assert.False(tokenizer.IsSpecial(260));
        Assert.Equal(261, tokenizer.VocabularySize);
        Assert.Equal(261, tokenizer.Vocabulary.Count);
        Assert.Equal("the", tokenizer.IdToToken(257));
        Assert.Equal(260, tokenizer.TokenToId("<tool>"));
        Assert.Null(tokenizer.TokenToId("nothing"));
    }

    [Fact]
    public void Pairs_follow_the_template()
    {
        const string template = """
            {"type":"TemplateProcessing",
             "single":[{"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],
             "pair":[{"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}},{"SpecialToken":{"id":"<s>","type_id":1}},{"Sequence":{"id":"B","type_id":1}}],
             "special_tokens":{"<s>":{"id":"<s>","ids":[9],"tokens":["<s>"]}}}
            """;
        var tokenizer = Tokenizer.Parse("test", TokenizerJson.File("""{"type":"WordLevel","unk_token":"?","vocab":{"?":0,"a":1,"b":2}}""",
            preTokenizer: """{"type":"WhitespaceSplit"}""", postProcessor: template));
        var pair = tokenizer.EncodePair("a b", "b");
        Assert.Equal([9, 1, 2, 9, 2], pair.Ids);
        Assert.Equal([0, 0, 0, 1, 1], pair.TypeIds);
        Assert.Equal(["<s>", "a", "b", "<s>", "b"], pair.Tokens);
        Assert.Equal([1, 2, 2], tokenizer.EncodePair("a b", "b", addSpecialTokens: false).Ids);
        Assert.Equal([9, 1], tokenizer.Encode("a"));
    }

    [Fact]
    public void What_is_not_applied_or_not_as_stated_is_told()
    {
        var json = Bytes.Replace("\"truncation\":null", "\"truncation\":{\"max_length\":3}", StringComparison.Ordinal)
            .Replace("\"id\":260", "\"id\":300", StringComparison.Ordinal);
        var tokenizer = Tokenizer.Parse("test", json);
        Assert.Collection(tokenizer.Problems, note => Assert.Contains("truncation", note.Message, StringComparison.Ordinal),
            warning => Assert.Contains("states the id 300, but gets 260", warning.Message, StringComparison.Ordinal));
        Assert.Equal(5, tokenizer.Encode("abcde").Length);
        Assert.Equal(3, (int)tokenizer.Json["truncation"]!["max_length"]!);
    }

    [Fact]
    public void A_folder_gives_its_special_tokens()
    {
        var folder = Directory.CreateTempSubdirectory("tokenizer-test-");
        try
        {
            File.WriteAllText(Path.Combine(folder.FullName, "tokenizer.json"), "\uFEFF" + Bytes, System.Text.Encoding.UTF8);
            File.WriteAllText(Path.Combine(folder.FullName, "tokenizer_config.json"), """{"eos_token":"</s>"}""");
            File.WriteAllText(Path.Combine(folder.FullName, "special_tokens_map.json"), """{"eos_token":"<s>","bos_token":{"content":"<s>"}}""");
            var tokenizer = Tokenizer.Load(folder.FullName);
            Assert.Equal((258, 259), (tokenizer.BosId, tokenizer.EosId));
            Assert.Equal(tokenizer.Encode("the"), Tokenizer.Load(Path.Combine(folder.FullName, "tokenizer.json")).Encode("the"));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }
}
