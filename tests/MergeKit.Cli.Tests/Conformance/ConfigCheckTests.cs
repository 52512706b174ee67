using System.Text.Json;

namespace MergeKit.Cli.Tests.Conformance;

public class ConfigCheckTests
{
    private const string Wanted = """{"model_type": "llama", "num_hidden_layers": 4, "torch_dtype": "bfloat16", "tie_word_embeddings": false, "architectures": ["L"]}""";

    [Theory]
    [InlineData("""{"model_type": "llama", "num_hidden_layers": 4, "torch_dtype": "bfloat16", "tie_word_embeddings": false, "architectures": ["L"], "more": 1}""", 0)]
    [InlineData("""{"model_type": "llama", "num_hidden_layers": 4.0, "dtype": "bfloat16", "tie_word_embeddings": false, "architectures": ["L"]}""", 0)]
    [InlineData("""{"model_type": "llama", "num_hidden_layers": 5, "torch_dtype": "bfloat16", "tie_word_embeddings": false, "architectures": ["L"]}""", 1)]
    [InlineData("""{"model_type": "llama", "num_hidden_layers": "4", "torch_dtype": "bfloat16", "tie_word_embeddings": true, "architectures": ["L"]}""", 2)]
    [InlineData("""{"model_type": "llama", "num_hidden_layers": 4, "dtype": "float16", "tie_word_embeddings": false, "architectures": ["L", "M"]}""", 2)]
    [InlineData("{}", 5)]
    public void Finds_every_key_that_is_missing_or_different(string written, int count)
    {
        var findings = new List<string>();
        ConfigCheck.Compare(JsonElement.Parse(Wanted), JsonElement.Parse(written), findings);
        Assert.Equal(count, findings.Count);
    }

    [Fact]
    public void A_missing_file_is_found()
    {
        using var folder = new TemporaryFolder();
        var findings = new List<string>();
        ConfigCheck.Compare(JsonElement.Parse(Wanted), folder.Path, findings);
        Assert.Equal(["no config.json"], findings);
    }
}
