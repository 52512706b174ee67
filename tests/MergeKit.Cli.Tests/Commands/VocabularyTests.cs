using System.Text.Json;
using MergeKit.Cli.Tests.Conformance;
using MergeKit.Core.Tokenization;

namespace MergeKit.Cli.Tests.Commands;

/// <summary>Vocabulary changes from the command line, on the suite's models with tokenizers.</summary>
public sealed class VocabularyTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static string Model(string name) => Path.Combine(Repository.Fixtures, "conformance", "merge", "inputs", "tok", name);

    [Fact]
    public void A_union_encodes_decodes_runs_and_says_what_it_did()
    {
        var run = Run("merge_method: linear\nbase_model: BASE\nmodels:\n- {model: BASE, parameters: {weight: 1}}\n- {model: EXT, parameters: {weight: 1}}\n- {model: PERM, parameters: {weight: 1}}\n"
            + "tokenizer_source: union\nchat_template: auto\n");
        Assert.True(run.ExitCode == 0, run.ToString());
        var tokenizer = Tokenizer.Load(_folder.Join("out"));
        foreach (var text in new[] { "basic elbow home as it is", "<|im_start|>the end<|im_end|>" })
            Assert.Equal(text, tokenizer.Decode(tokenizer.Encode(text)).Trim().Replace("> ", ">", StringComparison.Ordinal));
        Assert.Contains("as", tokenizer.EncodeWithTokens("basic").Tokens);
        var card = File.ReadAllText(_folder.Join("out", "README.md"));
        Assert.Contains("72 tokens in 72 rows; 8 that the base does not have", card, StringComparison.Ordinal);
        using var report = JsonDocument.Parse(File.ReadAllText(_folder.Join("out", "report.json")));
        Assert.Equal(8, report.RootElement.GetProperty("vocabulary").GetProperty("added_count").GetInt32());
        Assert.Contains("<|im_start|>", File.ReadAllText(_folder.Join("out", "chat_template.jinja")), StringComparison.Ordinal);
        Assert.Equal(0, CommandLine.Run(["generate", _folder.Join("out"), "-p", "the", "-n", "3", "--chat"]).ExitCode);
    }

    [Fact]
    public void An_interrupted_run_with_another_vocabulary_is_not_gone_on_with()
    {
        const string recipe = "merge_method: linear\nmodels:\n- {model: BASE, parameters: {weight: 1}}\n- {model: PERM, parameters: {weight: 1}}\ntokenizer: {source: SOURCE}\n";
        var first = Run(recipe.Replace("SOURCE", "base", StringComparison.Ordinal));
        var second = Run(recipe.Replace("SOURCE", "PERM", StringComparison.Ordinal), "other");
        Assert.True(first.ExitCode == 0 && second.ExitCode == 0, $"{first}\n{second}");
        Assert.Equal((64, 63), (Tokenizer.Load(_folder.Join("out")).VocabularySize, Tokenizer.Load(_folder.Join("other")).VocabularySize));
    }

    [Fact]
    public void A_transplanted_model_has_the_donors_tokens_and_runs()
    {
        var run = CommandLine.Run(["transplant-tokenizer", Model("ext"), Model("perm"), _folder.Join("out"), "-k", "4"]);
        Assert.True(run.ExitCode == 0, run.ToString());
        Assert.Contains("57 rows of tokens that both have", run.Output, StringComparison.Ordinal);
        Assert.Equal(63, Tokenizer.Load(_folder.Join("out")).VocabularySize);
        Assert.Equal(0, CommandLine.Run(["generate", _folder.Join("out"), "-p", "the", "-n", "3"]).ExitCode);
    }

    [Theory]
    [InlineData("--method is 'ompp'; wanted one of omp, common_interpolation, subword, landmark_pca, stb, mp_rope, john_hewitt, mean, zero, randn. Did you mean 'omp'?", "--method", "ompp")]
    [InlineData("--k is 0; at least 1 is wanted", "-k", "0")]
    public void Wrong_options_are_named(string message, params string[] options)
    {
        var run = CommandLine.Run(["transplant-tokenizer", Model("ext"), Model("perm"), _folder.Join("out"), .. options]);
        Assert.Equal(2, run.ExitCode);
        Assert.Contains(message, run.Error, StringComparison.Ordinal);
        Assert.False(Directory.Exists(_folder.Join("out")));
    }

    private RunResult Run(string recipe, string name = "out")
    {
        File.WriteAllText(_folder.Join("recipe.yml"), recipe.Replace("BASE", Model("base"), StringComparison.Ordinal)
            .Replace("EXT", Model("ext"), StringComparison.Ordinal).Replace("PERM", Model("perm"), StringComparison.Ordinal));
        return CommandLine.Run(["run", _folder.Join("recipe.yml"), _folder.Join(name)]);
    }
}
