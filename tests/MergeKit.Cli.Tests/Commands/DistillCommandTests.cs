using System.Text.Json;
using MergeKit.Cli.Tests.Conformance;

namespace MergeKit.Cli.Tests.Commands;

/// <summary><c>mergekit distill</c> and <c>mergekit uncertainty</c> on trained models.</summary>
public sealed class DistillCommandTests : IDisposable
{
    private readonly WorkflowFiles _files = new();

    public void Dispose() => _files.Dispose();

    private JsonElement Loss(string student, params string[] more)
    {
        var run = CommandLine.Run(["distill", "loss", WorkflowFiles.Model(student), "--teacher", _files.Join("teacher"), "--json", .. more]);
        Assert.True(run.ExitCode == 0, run.ToString());
        return JsonDocument.Parse(run.Output).RootElement;
    }

    private void Export(params string[] more)
    {
        var run = CommandLine.Run(["distill", "export", WorkflowFiles.Model("ft-arithmetic"), "--data", WorkflowFiles.Data("exact_val.jsonl"), "--out", _files.Join("teacher"), "--examples", "20", .. more]);
        Assert.True(run.ExitCode == 0, run.ToString());
    }

    [Fact]
    public void A_teacher_loses_nothing_against_itself_and_its_base_does()
    {
        Export("--temperature", "2", "--top", "16");
        var own = Loss("ft-arithmetic");
        Assert.Equal(0, own.GetProperty("kl").GetProperty("value").GetDouble(), 5);
        Assert.Equal(1, own.GetProperty("agreement").GetDouble());
        var other = Loss("base", "--alpha", "0.25");
        Assert.True(other.GetProperty("kl").GetProperty("value").GetDouble() > 0.2);
        Assert.Equal(
            (0.75 * other.GetProperty("cross_entropy").GetProperty("value").GetDouble()) + (0.25 * 4 * other.GetProperty("kl").GetProperty("value").GetDouble()),
            other.GetProperty("loss").GetProperty("value").GetDouble(), 9);
        Assert.Equal(20, other.GetProperty("sequences").GetArrayLength());
    }

    [Fact]
    public void The_teachers_own_texts_are_kept()
    {
        Export("--generate", "--max-new-tokens", "8");
        string[] lines = File.ReadAllLines(_files.Join(Path.Combine("teacher", "sequences.jsonl")));
        Assert.Equal(20, lines.Length);
        Assert.All(lines, line => Assert.Matches("^[-0-9]+$", JsonDocument.Parse(line).RootElement.GetProperty("text").GetString()!));
    }

    [Theory]
    [InlineData("--top", "0", "top is 0")]
    [InlineData("--temperature", "0", "temperature 0")]
    [InlineData("--prompt", "{{x}}", "--prompt and --target go together")]
    [InlineData("--data", "none.jsonl", "none.jsonl: no such file")]
    public void What_cannot_be_exported_is_named(string option, string value, string message)
    {
        string[] data = option == "--data" ? [] : ["--data", WorkflowFiles.Data("exact_val.jsonl")];
        var run = CommandLine.Run(["distill", "export", WorkflowFiles.Model("base"), .. data, "--out", _files.Join("teacher"), option, value]);
        Assert.Equal(2, run.ExitCode);
        Assert.Contains(message, run.Error, StringComparison.Ordinal);
        Assert.False(Directory.Exists(_files.Join("teacher")));
    }

    [Fact]
    public void A_folder_that_is_no_teacher_is_told_so()
    {
        var run = CommandLine.Run(["distill", "loss", WorkflowFiles.Model("base"), "--teacher", _files.Folder]);
        Assert.Equal(2, run.ExitCode);
        Assert.Contains("distillation.json: no such file", run.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("mc_val.jsonl")]
    [InlineData("exact_val.jsonl")]
    public void Members_of_bags_are_judged_on_what_they_were_not_trained_on(string data)
    {
        var recipe = _files.Write("bags.yml", $"""
            ensemble: linear
            models:
            - model: "{WorkflowFiles.Model("base")}"
              bag: 0
            - model: "{WorkflowFiles.Model("ft-arithmetic")}"
              bag: 1
            - model: "{WorkflowFiles.Model("ft-code")}"
              bag: 2
            bagging:
              data: "{WorkflowFiles.Data(data)}"
              seed: 4
            """);
        Assert.Equal(0, CommandLine.Run(["bag", WorkflowFiles.Data(data), _files.Join("bags"), "--bags", "3", "--seed", "4"]).ExitCode);
        var manifest = JsonDocument.Parse(File.ReadAllText(_files.Join("bags/bags.json"))).RootElement;
        var outside = manifest.GetProperty("bags").EnumerateArray().Select(bag => bag.GetProperty("out_of_bag").EnumerateArray().Select(item => item.GetInt32()).ToHashSet()).ToList();
        var judged = Enumerable.Range(0, 30).Count(item => outside.Count(bag => bag.Contains(item)) > 1);
        var run = CommandLine.Run(["uncertainty", recipe, "--data", WorkflowFiles.Data(data), "--limit", "30", "--json"]);
        Assert.True(run.ExitCode == 0, run.ToString());
        var report = JsonDocument.Parse(run.Output).RootElement[0];
        Assert.True(report.GetProperty("out_of_bag").GetBoolean());
        Assert.Equal((judged, 30 - judged), (report.GetProperty("items").GetArrayLength(), report.GetProperty("left_out").GetInt32()));
        Assert.InRange(judged, 5, 25);
        Assert.Contains("out of bag", CommandLine.Run(["uncertainty", recipe, "--data", WorkflowFiles.Data(data), "--limit", "30"]).Output, StringComparison.Ordinal);
        Assert.Equal(2, CommandLine.Run(["bag", WorkflowFiles.Data(data), _files.Join("bags")]).ExitCode);
        Assert.Equal(2, CommandLine.Run(["bag", _files.Join("none.jsonl"), _files.Join("other"), "--seed", "-1"]).ExitCode);
    }

    [Theory]
    [InlineData("mc_val.jsonl")]
    [InlineData("exact_val.jsonl")]
    public void Uncertainty_adds_up(string data)
    {
        var run = CommandLine.Run(["uncertainty", WorkflowFiles.Model("base"), WorkflowFiles.Model("ft-arithmetic"), WorkflowFiles.Model("ft-code"), "--data", WorkflowFiles.Data(data), "--limit", "30", "--json"]);
        Assert.True(run.ExitCode == 0, run.ToString());
        var report = JsonDocument.Parse(run.Output).RootElement[0];
        Assert.Equal(30, report.GetProperty("items").GetArrayLength());
        foreach (var item in report.GetProperty("items").EnumerateArray())
        {
            double Of(string key) => item.GetProperty(key).GetDouble();
            Assert.Equal(Of("predictive_entropy"), Of("expected_entropy") + Of("mutual_information"), 9);
            Assert.InRange(Of("mutual_information"), -1e-9, Math.Log(3) + 1e-9);
        }

        Assert.Equal(4, report.GetProperty("right_by_quarter").GetArrayLength());
        Assert.Equal(2, CommandLine.Run(["uncertainty", WorkflowFiles.Model("base"), "--data", WorkflowFiles.Data(data)]).ExitCode);
    }
}
