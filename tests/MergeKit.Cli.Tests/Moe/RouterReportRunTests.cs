using System.Text.Json.Nodes;
using MergeKit.Cli.Tests.Conformance;

namespace MergeKit.Cli.Tests.Moe;

/// <summary>A mixture of trained models: routers that are fitted send texts where they belong, and the reports show it.</summary>
public sealed class RouterReportRunTests : IDisposable
{
    private const string Experts = """
        experts:
        - source_model: examples/models/base
          data: examples/data/prose/kjv.txt
          positive_prompts: ["In the beginning", "And it came to pass"]
        - source_model: examples/models/ft-code
          data: examples/data/code/zlib.txt
          positive_prompts: ["int main(void) {", "return 0;"]
        - source_model: examples/models/ft-arithmetic
          data: examples/data/arithmetic/heldout.txt
          positive_prompts: ["12+30=", "7*8="]
        """;

    private readonly TemporaryFolder _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public void Fitted_routers_tell_the_domains_apart_far_better_than_those_of_prompts()
    {
        var (hidden, _) = Accuracy("hidden", "");
        var (calibrated, layers) = Accuracy("calibrated", "calibration: {tokens: 12000}\n");
        Assert.True(calibrated > 0.9, $"first choices of fitted routers are right for {calibrated:P0} of the tokens");
        Assert.True(calibrated > hidden + 0.1, $"{calibrated:P0} against {hidden:P0}");
        Assert.All(layers, layer => Assert.InRange(layer!["domain_shares"]!.AsArray().Sum(row => row!.AsArray().Sum(share => (double)share!)), 2.99, 3.01));
        var page = File.ReadAllText(_scratch.Join("out-calibrated", "report.html"));
        Assert.Contains("<h2>Routers before writing</h2>", page, StringComparison.Ordinal);
        Assert.Contains("<h2>Routers as written</h2>", page, StringComparison.Ordinal);
        Assert.Contains("Experts chosen together", page, StringComparison.Ordinal);
        Assert.Contains("A mixture of 3 experts, 2 per token; gates: Calibrated, read from the router's input.", File.ReadAllText(_scratch.Join("out-calibrated", "README.md")), StringComparison.Ordinal);
    }

    [Fact]
    public void Texts_that_are_better_off_elsewhere_are_told_of()
    {
        var run = Run("calibrated", "calibration: {labels: likelihood, tokens: 6000}\n");
        Assert.Contains("given for expert 'examples/models/ft-arithmetic' only", run.Error, StringComparison.Ordinal);
        Assert.Contains("what it learned depends on its own attention", run.Error, StringComparison.Ordinal);
    }

    private (double Mean, JsonArray Layers) Accuracy(string mode, string more)
    {
        Run(mode, more);
        var layers = JsonNode.Parse(File.ReadAllText(_scratch.Join("out-" + mode, "report.json")))!["routers"]![1]!["layers"]!.AsArray();
        return (layers.Average(layer => layer!["accuracy"]!.AsArray().Average(share => (double)share!)), layers);
    }

    private RunResult Run(string mode, string more)
    {
        File.WriteAllText(_scratch.Join("r.yml"), $"base_model: examples/models/base\ngate_mode: {mode}\n{more}{Experts}\n");
        var run = CommandLine.Run(["run", _scratch.Join("r.yml"), _scratch.Join("out-" + mode), "--working-directory", Repository.Root]);
        Assert.True(run.ExitCode == 0, run.ToString());
        return run;
    }
}
