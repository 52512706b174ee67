using System.Text.Json;
using MergeKit.Cli.Tests.Conformance;

namespace MergeKit.Cli.Tests.Commands;

/// <summary><c>mergekit learn</c> on trained models: who can add gets the weight.</summary>
public sealed class LearnCommandTests : IDisposable
{
    private readonly WorkflowFiles _files = new();

    public void Dispose() => _files.Dispose();

    private string Recipe(string rule, string learn) => _files.Write(
        "ensemble.yml", $"ensemble: {rule}\nmodels:\n- model: BASE\n- model: ADDER\n- model: CODER\nlearn: {{{learn}}}\n");

    [Theory]
    [InlineData("linear")]
    [InlineData("log_linear")]
    [InlineData("posterior")]
    [InlineData("gated")]
    public void The_member_that_knows_gets_the_weight_and_the_result_is_a_recipe(string rule)
    {
        var run = CommandLine.Run(["learn", Recipe(rule, "data: VAL, examples: 60, prompt: '{{prompt}}', target: '{{answer}}'"), "--out", _files.Join("learned.yml"), "--json"]);
        Assert.True(run.ExitCode == 0, run.ToString());
        var report = JsonDocument.Parse(run.Output).RootElement;
        double[] weights = [.. report.GetProperty("members").EnumerateArray().Select(member => member.GetProperty("weight").GetDouble())];
        Assert.Equal(1, Array.IndexOf(weights, weights.Max()));
        Assert.Equal(60, report.GetProperty("examples").GetInt32());
        Assert.True(report.GetProperty("comparisons")[0].GetProperty("difference").GetDouble() < -0.05);
        var text = File.ReadAllText(_files.Join("learned.yml"));
        Assert.DoesNotContain("learn:", text, StringComparison.Ordinal);
        var again = CommandLine.Run(["learn", _files.Join("learned.yml")]);
        Assert.Equal(2, again.ExitCode);
        Assert.Contains("no ensemble document with 'learn'", again.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void The_table_says_what_each_member_is_worth()
    {
        var run = CommandLine.Run(["learn", Recipe("linear", "data: VAL, examples: 30, folds: 3")]);
        Assert.True(run.ExitCode == 0, run.ToString());
        foreach (var part in new[] { "linear, learned by em from 30 answers", "std. error", "NLL alone", "cross-validated", "against uniform weights", "against the best single member", "from the optimum" })
            Assert.Contains(part, run.Output, StringComparison.Ordinal);
        Assert.False(File.Exists(_files.Join("learned.yml")));
    }

    [Theory]
    [InlineData("linear", "data: none.jsonl", "none.jsonl: no such file")]
    [InlineData("linear", "data: VAL, prompt: '{{question}}', target: x", "'prompt'")]
    [InlineData("linear", "data: VAL, examples: 1", "'examples' is the number 1")]
    [InlineData("perplexity", "data: VAL", "takes its weights from every prompt")]
    [InlineData("linear", "data: VAL, method: newton", "is not learned by 'newton'")]
    public void What_cannot_be_learned_is_named(string rule, string learn, string message)
    {
        var run = CommandLine.Run(["learn", Recipe(rule, learn), "--out", _files.Join("learned.yml")]);
        Assert.Equal(2, run.ExitCode);
        Assert.Contains(message, run.Error, StringComparison.Ordinal);
        Assert.False(File.Exists(_files.Join("learned.yml")));
    }
}
