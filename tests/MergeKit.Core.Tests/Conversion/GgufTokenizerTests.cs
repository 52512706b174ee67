using System.Text.Json;
using System.Text.Json.Nodes;
using MergeKit.Core.Checkpoints.Gguf;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Tokenization;

namespace MergeKit.Core.Tests.Conversion;

/// <summary>Tokenizers written into GGUF files and read out of them again: the ids of the engine suite's texts must stay what they are.</summary>
public sealed class GgufTokenizerTests : IDisposable
{
    private readonly TemporaryFolder _scratch = new();

    public void Dispose() => _scratch.Dispose();

    /// <summary>Texts of the suite and how many of them at least hold no added token whose flags a GGUF file does not keep.</summary>
    [Theory]
    [InlineData("gpt2_bpe", 30)]
    [InlineData("llama2_bpe", 30)]
    [InlineData("llama3_bpe", 30)]
    [InlineData("qwen2_bpe", 30)]
    public void Ids_are_those_of_the_tokenizer_that_was_written(string name, int least)
    {
        var folder = Path.Combine(Repository.Fixtures, "conformance", "engine", "tokenizers", name);
        var (original, read) = (Tokenizer.Load(folder), Written(folder));
        var flagged = Flagged(Path.Combine(folder, "tokenizer.json"));
        using var cases = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "cases.json")));
        var texts = cases.RootElement.GetProperty("cases").EnumerateArray().Select(item => item.GetProperty("text").GetString()!).Where(text => !flagged.Exists(token => text.Contains(token, StringComparison.Ordinal))).ToList();
        Assert.True(texts.Count >= least, $"{texts.Count} texts");
        foreach (var text in texts)
        {
            var ids = original.Encode(text);
            Assert.Equal(ids, read.Encode(text));
            Assert.Equal(original.Encode(text, addSpecialTokens: false), read.Encode(text, addSpecialTokens: false));
            Assert.Equal(original.Decode(ids), read.Decode(ids));
            Assert.Equal(original.Decode(ids, skipSpecialTokens: true), read.Decode(ids, skipSpecialTokens: true));
        }
    }

    [Fact]
    public void The_trained_models_texts_keep_their_ids_and_their_template()
    {
        var folder = TrainedModels.Folder("nano", "base");
        var (original, read) = (Tokenizer.Load(folder), Written(folder));
        foreach (var file in Directory.GetFiles(Path.Combine(Repository.Root, "examples", "data"), "*.txt", SearchOption.AllDirectories))
            Assert.Equal(original.Encode(File.ReadAllText(file)), read.Encode(File.ReadAllText(file)));
        var settings = JsonNode.Parse(GgufVocabulary.Read(_scratch.Join("x.gguf"))!.Value.Settings)!;
        var wanted = JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "tokenizer_config.json")))!;
        Assert.Equal(wanted["chat_template"]?.ToString(), settings["chat_template"]?.ToString());
        Assert.Equal(wanted["eos_token"]?.ToString(), settings["eos_token"]?.ToString());
    }

    [Theory]
    [InlineData("default")]
    [InlineData("falcon")]
    [InlineData("starcoder")]
    public void Other_ways_of_cutting_words_give_back_the_text(string name)
    {
        var metadata = Metadata(TrainedModels.Folder("nano", "base"));
        metadata["tokenizer.ggml.pre"] = name;
        var read = Read(metadata);
        const string text = "The 1234 quick foxes' (tails) aren't 5% of x+y=z; naïve café\n\n  done";
        Assert.Equal(text, read.Decode(read.Encode(text)));
    }

    [Theory]
    [InlineData("tokenizer.ggml.pre", "tekken", "'tekken'")]
    [InlineData("tokenizer.ggml.model", "t5", "'t5'")]
    public void What_is_not_known_is_named(string key, string value, string seen)
    {
        var metadata = Metadata(TrainedModels.Folder("nano", "base"));
        metadata[key] = value;
        Assert.Contains(seen, Assert.Throws<InputException>(() => Read(metadata)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Lists_that_do_not_fit_are_refused()
    {
        var metadata = Metadata(TrainedModels.Folder("nano", "base"));
        metadata["tokenizer.ggml.token_type"] = new List<int> { 1, 2 };
        Assert.Contains("2 types", Assert.Throws<InputException>(() => Read(metadata)).Message, StringComparison.Ordinal);
        metadata.Remove("tokenizer.ggml.token_type");
        metadata["tokenizer.ggml.merges"] = new List<string> { "a" };
        Assert.Contains("not a pair", Assert.Throws<InputException>(() => Read(metadata)).Message, StringComparison.Ordinal);
        metadata.Remove("tokenizer.ggml.tokens");
        Assert.Null(GgufVocabulary.Read(Write(metadata)));
    }

    private Tokenizer Written(string folder) => Read(Metadata(folder));

    private Tokenizer Read(Dictionary<string, object> metadata)
    {
        var files = GgufVocabulary.Read(Write(metadata))!.Value;
        return Tokenizer.Parse("tokenizer.json", files.Tokenizer, files.Settings);
    }

    private string Write(Dictionary<string, object> metadata)
    {
        var path = _scratch.Join("x.gguf");
        GgufWriter.Write(path, [("general.architecture", "llama"), .. metadata.Select(pair => (pair.Key, pair.Value))], [], TestContext.Current.CancellationToken);
        return path;
    }

    private static Dictionary<string, object> Metadata(string folder)
    {
        JsonObject Json(string file) => (JsonObject)JsonNode.Parse(File.ReadAllText(Path.Combine(folder, file)))!;
        var tokenizer = Json("tokenizer.json");
        var size = Tokenizer.Load(folder).VocabularySize;
        return new GgufTokenizer("tokenizer.json", tokenizer, Json("tokenizer_config.json"), size).Metadata().ToDictionary(pair => pair.Key, pair => pair.Value);
    }

    /// <summary>Added tokens that strip blanks, want whole words, or are looked for in normalised text.</summary>
    private static List<string> Flagged(string file) =>
        [.. ((JsonArray)JsonNode.Parse(File.ReadAllText(file))!["added_tokens"]!).Where(token => new[] { "lstrip", "rstrip", "single_word" }.Any(flag => token![flag]!.GetValue<bool>())).Select(token => token!["content"]!.ToString())];
}
