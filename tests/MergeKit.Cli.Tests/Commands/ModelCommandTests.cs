using System.Text.Json;
using MergeKit.Cli.Tests.Conformance;
using MergeKit.Core.Checkpoints;

namespace MergeKit.Cli.Tests.Commands;

/// <summary>The commands that run models, on the trained models of the fixtures.</summary>
public class ModelCommandTests
{
    private static string Model(string name) => Path.Combine(Repository.Root, "examples", "models", name);

    private static string Data(string path) => Path.Combine(Repository.Root, "examples", "data", path);

    [Fact]
    public void Tokenize_and_back()
    {
        var ids = Json("tokenize", Model("base"), "--text", "int main(void)", "--json").GetProperty("ids").EnumerateArray().Select(id => id.GetRawText()).ToList();
        Assert.NotEmpty(ids);
        Assert.Equal("int main(void)", Done(["tokenize", Model("base"), "--decode", .. ids]).Output.TrimEnd());
        var error = CommandLine.Run(["tokenize", Model("base"), "--decode", "99999"]);
        Assert.Equal(2, error.ExitCode);
        Assert.Contains("99999", error.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Generation_repeats_for_a_seed_and_differs_without_one()
    {
        string[] arguments = ["generate", Model("ft-code"), "--prompt", "static int ", "-n", "24", "--temperature", "1", "--random-seed"];
        Assert.Equal(Done([.. arguments, "7"]).Output, Done([.. arguments, "7"]).Output);
        Assert.NotEqual(Done([.. arguments, "7"]).Output, Done([.. arguments, "8"]).Output);
    }

    [Theory]
    [InlineData("--temperature", "-1")]
    [InlineData("--top-p", "2")]
    [InlineData("--repetition-penalty", "0")]
    public void Impossible_sampler_options_are_refused(string option, string value) =>
        Assert.Equal(2, CommandLine.Run(["generate", Model("base"), "--prompt", "x", option, value]).ExitCode);

    [Fact]
    public void A_prompt_longer_than_the_context_is_refused_by_its_length()
    {
        var result = CommandLine.Run(["generate", Model("base"), "--prompt", string.Concat(Enumerable.Repeat("word and ", 600))]);
        Assert.Equal(2, result.ExitCode);
        Assert.Contains("512", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Logits_come_in_a_file_that_can_be_read()
    {
        using var scratch = new TemporaryFolder();
        var path = scratch.Join("logits.safetensors");
        Done(["logits", Model("base"), "--ids", "0", "5", "9", "--out", path]);
        using var file = Checkpoint.Open(path);
        Assert.Equal([3L, 2048], file.Get("logits").Shape);
        Assert.Equal([3L, 128], file.Get("hidden_3").Shape);
        Assert.Null(file.Find("hidden_4"));
    }

    [Fact]
    public void Evaluation_gives_every_model_a_number_with_its_interval_and_compares()
    {
        using var scratch = new TemporaryFolder();
        var root = Json("evaluate", Model("base"), Model("ft-code"), "--data", Data("code/zlib.txt"), Data("arithmetic/mc.jsonl"), "--limit", "40", "--json", "--html", scratch.Join("r.html"));
        Assert.Equal(4, root.GetProperty("results").GetArrayLength());
        Assert.Equal(2, root.GetProperty("comparisons").GetArrayLength());
        Assert.Contains("</html>", File.ReadAllText(scratch.Join("r.html")), StringComparison.Ordinal);
    }

    [Fact]
    public void Bad_data_is_refused_with_file_and_line()
    {
        using var scratch = new TemporaryFolder();
        File.WriteAllText(scratch.Join("bad.jsonl"), "{\"text\": \"a\"}\n{nonsense\n");
        var result = CommandLine.Run(["evaluate", Model("base"), "--data", scratch.Join("bad.jsonl")]);
        Assert.Equal(2, result.ExitCode);
        Assert.Contains("bad.jsonl", result.Error, StringComparison.Ordinal);
        Assert.Contains("2", result.Error, StringComparison.Ordinal);
    }

    private static JsonElement Json(params string[] arguments) => JsonDocument.Parse(Done(arguments).Output).RootElement;

    private static RunResult Done(string[] arguments)
    {
        var result = CommandLine.Run(arguments);
        Assert.True(result.ExitCode == 0, result.ToString());
        return result;
    }
}
