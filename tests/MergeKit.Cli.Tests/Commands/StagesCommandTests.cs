using System.Text.Json;
using MergeKit.Cli.Tests.Conformance;

namespace MergeKit.Cli.Tests.Commands;

/// <summary><c>mergekit stages</c> on trained models.</summary>
public sealed class StagesCommandTests : IDisposable
{
    private readonly WorkflowFiles _files = new();

    public void Dispose() => _files.Dispose();

    private (JsonElement Report, JsonElement[] Log) Run(string text)
    {
        var run = CommandLine.Run(["stages", _files.Write("stages.yml", text), "--json", "--log", _files.Join("log.jsonl")]);
        Assert.True(run.ExitCode == 0, run.ToString());
        return (JsonDocument.Parse(run.Output).RootElement, [.. File.ReadAllLines(_files.Join("log.jsonl")).Select(line => JsonDocument.Parse(line).RootElement)]);
    }

    private static double Accuracy(JsonElement report, int round) => report.GetProperty("rounds")[round - 1].GetProperty("accuracy").GetDouble();

    [Fact]
    public void One_greedy_stage_is_exact_match()
    {
        var (report, log) = Run("stages: [{model: ADDER, prompt: '{{x.prompt}}', max_new_tokens: 8}]\ndata: TEST\nanswer: '{{x.answer}}'\nlimit: 60\n");
        var evaluated = CommandLine.Run(["evaluate", WorkflowFiles.Model("ft-arithmetic"), "--data", WorkflowFiles.Data("exact.jsonl"), "--limit", "60", "--max-new-tokens", "8", "--json"]);
        Assert.Contains($"\"value\": {Accuracy(report, 1).ToString(System.Globalization.CultureInfo.InvariantCulture)}"[..14], evaluated.Output, StringComparison.Ordinal);
        Assert.Equal(60, log.Length);
        Assert.InRange(Accuracy(report, 1), 0.7, 1);
    }

    [Fact]
    public void A_later_stage_sees_the_earlier_ones_and_rounds_end_when_nothing_changes()
    {
        var (report, log) = Run("""
            stages:
            - {name: draft, model: ADDER, prompt: "{{x.prompt}}", max_new_tokens: 8}
            - {model: ADDER, prompt: "{{x.prompt}}{{draft[:1]}}", max_new_tokens: 8}
            rounds: 4
            until: {unchanged: true}
            data: VAL
            answer: "{{x.answer}}"
            limit: 10
            """);
        Assert.All(log, line => Assert.InRange(line.GetProperty("round").GetInt32(), 1, 2));
        Assert.Equal(10, log.Count(line => line.GetProperty("done").ValueKind == JsonValueKind.String && line.GetProperty("done").GetString() == "unchanged"));
        var right = log.Where(line => line.GetProperty("round").GetInt32() == 1).Count(line =>
            (line.GetProperty("texts").GetProperty("draft").GetString()![..1] + line.GetProperty("texts").GetProperty("y2").GetString()) == line.GetProperty("texts").GetProperty("draft").GetString());
        Assert.InRange(right, 9, 10); // greedy continuation of the first digit is the rest of the answer, however it is cut into tokens
        Assert.Equal(10, report.GetProperty("rounds")[1].GetProperty("active").GetInt32());
        Assert.Equal(0, report.GetProperty("rounds")[2].GetProperty("active").GetInt32());
    }

    [Fact]
    public void Votes_and_judges_choose_among_samples_and_a_seed_repeats_them()
    {
        const string Text = """
            stages:
            - {name: voted, model: ADDER, prompt: "{{x.prompt}}", max_new_tokens: 8, samples: 5, temperature: 1.5, choose: majority}
            - {name: judged, model: CODER, prompt: "{{x.prompt}}", max_new_tokens: 8, samples: 6, temperature: 2, choose: best, judge: ADDER}
            data: VAL
            answer: "{{x.answer}}"
            limit: 12
            """;
        var (_, first) = Run(Text);
        var (_, again) = Run(Text);
        var (_, other) = Run(Text + "\nseed: 9\n");
        Assert.Equal(first.Select(line => line.GetRawText()), again.Select(line => line.GetRawText()));
        Assert.NotEqual(first.Select(line => line.GetRawText()), other.Select(line => line.GetRawText()));
    }

    [Fact]
    public void The_best_round_is_chosen_on_the_data_and_reported_on_the_test()
    {
        var (report, log) = Run("""
            stages: [{model: ADDER, prompt: "{% if round == 2 %}{{x.prompt}}{% else %}nothing{% endif %}", max_new_tokens: 8}]
            rounds: 3
            data: VAL
            test: TEST
            answer: "{{x.answer}}"
            limit: 10
            """);
        Assert.Equal(2, report.GetProperty("best_round").GetInt32());
        Assert.InRange(report.GetProperty("test").GetProperty("accuracy").GetDouble(), 0.6, 1);
        Assert.Equal(60, log.Length);
    }

    [Theory]
    [InlineData("stages: [{model: ADDER, prompt: '{{x.question}}'}]\ndata: VAL\n", "'prompt' of stage y1")]
    [InlineData("stages: [{model: ADDER, prompt: '{{x.prompt'}]\ndata: VAL\n", "'prompt' of stage y1")]
    [InlineData("stages: [{model: ADDER, prompt: '{{x.prompt}}', max_new_tokens: 600}]\ndata: VAL\n", "max_new_tokens is 600")]
    [InlineData("stages: [{model: ADDER/none, prompt: a}, {model: BASE/none, prompt: b}]\ndata: VAL\n", "ft-arithmetic/none")]
    public void What_cannot_be_done_is_named(string text, string message)
    {
        var run = CommandLine.Run(["stages", _files.Write("stages.yml", text)]);
        Assert.Equal(2, run.ExitCode);
        Assert.Contains(message, run.Error, StringComparison.Ordinal);
    }
}
