using System.Text.Json;
using MergeKit.Cli.Tests.Conformance;

namespace MergeKit.Cli.Tests.Commands;

/// <summary>A merge is run beside its parents before it is published, and a bad one is not overlooked.</summary>
public class CheckTests
{
    private static string Models => Path.Combine(Repository.Fixtures, "models", "nano");

    private static string Good => $"merge_method: linear\nmodels:\n- model: {Models}/ckpt-man-400\n  parameters: {{weight: 1}}\n- model: {Models}/ckpt-man-600\n  parameters: {{weight: 1}}\n";

    /// <summary>Other initialisations must not be averaged: the average is far worse than both.</summary>
    private static string Bad => Good.Replace("ckpt-man-400", "base", StringComparison.Ordinal).Replace("ckpt-man-600", "base-b", StringComparison.Ordinal);

    [Fact]
    public void A_good_merge_passes_and_says_so_in_card_and_report()
    {
        using var scratch = new TemporaryFolder();
        var result = Run(scratch, Good, "--gate");
        Assert.True(result.ExitCode == 0, result.ToString());
        Assert.Contains("check: passed", result.Output, StringComparison.Ordinal);
        Assert.Contains("## Check", File.ReadAllText(scratch.Join("out/README.md")), StringComparison.Ordinal);
        Assert.Contains("ckpt-man-400", File.ReadAllText(scratch.Join("out/report.json")), StringComparison.Ordinal);
        Assert.True(File.Exists(scratch.Join("out/report.html")));
        var manifest = JsonDocument.Parse(File.ReadAllText(scratch.Join("out/mergekit_manifest.json"))).RootElement.GetProperty("files").EnumerateArray().Select(file => file.GetProperty("name").GetString()).ToList();
        Assert.Contains("report.json", manifest);
    }

    [Fact]
    public void A_merge_worse_than_its_worst_parent_is_a_loud_warning_and_exit_code_3_behind_the_gate()
    {
        using var scratch = new TemporaryFolder();
        var gated = Run(scratch, Bad, "--gate");
        Assert.Equal(3, gated.ExitCode);
        Assert.Contains("worse than its worst parent", gated.Error, StringComparison.Ordinal);
        Assert.Contains("FAILED", gated.Output, StringComparison.Ordinal);
        Directory.Delete(scratch.Join("out"), recursive: true);
        Assert.Equal(0, Run(scratch, Bad).ExitCode);
        Directory.Delete(scratch.Join("out"), recursive: true);
        Assert.Equal(0, Run(scratch, Bad, "--gate", "--margin", "100").ExitCode);
    }

    [Fact]
    public void Without_a_check_nothing_is_run()
    {
        using var scratch = new TemporaryFolder();
        var result = Run(scratch, Bad, "--no-check", "--gate");
        Assert.Equal(0, result.ExitCode);
        Assert.False(File.Exists(scratch.Join("out/report.json")));
    }

    [Fact]
    public void An_evaluation_document_measures_the_result_beside_its_parents()
    {
        using var scratch = new TemporaryFolder();
        var data = Path.Combine(Repository.Root, "examples", "data", "arithmetic", "mc.jsonl");
        var result = Run(scratch, $"{Good}---\nevaluate:\n- data: {data}\n  name: sums\n  limit: 20\n");
        Assert.True(result.ExitCode == 0, result.ToString());
        Assert.Contains("sums (acc)", result.Output, StringComparison.Ordinal);
        Assert.Contains("ckpt-man-600", result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Missing_evaluation_data_is_found_before_the_merge()
    {
        using var scratch = new TemporaryFolder();
        var result = Run(scratch, $"{Good}---\nevaluate:\n- data: not-there.txt\n");
        Assert.Equal(2, result.ExitCode);
        Assert.Contains("not-there.txt", result.Error, StringComparison.Ordinal);
        Assert.False(Directory.Exists(scratch.Join("out")));
    }

    private static RunResult Run(TemporaryFolder scratch, string recipe, params string[] options)
    {
        File.WriteAllText(scratch.Join("recipe.yml"), recipe);
        return CommandLine.Run(["run", scratch.Join("recipe.yml"), scratch.Join("out"), .. options]);
    }
}
