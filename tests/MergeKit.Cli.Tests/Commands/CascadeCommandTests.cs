using System.Text.Json;
using MergeKit.Cli.Tests.Conformance;

namespace MergeKit.Cli.Tests.Commands;

/// <summary><c>mergekit cascade</c> on trained models: the base is cheap and cannot add, its fine-tune can.</summary>
public sealed class CascadeCommandTests : IDisposable
{
    private readonly WorkflowFiles _files = new();

    public void Dispose() => _files.Dispose();

    private string Document(string more) => _files.Write("cascade.yml", $"cascade:\n- {{model: BASE, cost: 1}}\n- {{model: ADDER, cost: 4}}\nlimit: 40\nmax_new_tokens: 6\n{more}");

    private JsonElement Json(string more)
    {
        var run = CommandLine.Run(["cascade", Document(more), "--json"]);
        Assert.True(run.ExitCode == 0, run.ToString());
        return JsonDocument.Parse(run.Output).RootElement;
    }

    [Theory]
    [InlineData("mean_logprob", "VAL")]
    [InlineData("min_logprob", "VAL")]
    [InlineData("margin", "VAL")]
    [InlineData("margin", "CHOICES")]
    [InlineData("mean_logprob", "CHOICES")]
    public void The_curve_runs_from_the_small_model_to_the_large_one(string confidence, string data)
    {
        var report = Json($"data: {data}\ntarget_accuracy: 0\nconfidence: {confidence}\n");
        JsonElement[] curve = [.. report.GetProperty("curve").EnumerateArray()];
        double[] costs = [.. curve.Select(point => point.GetProperty("cost").GetDouble())];
        Assert.Equal(costs.Order(), costs);
        Assert.Equal((1.0, 5.0), (costs[0], costs[^1]));
        Assert.True(curve[^1].GetProperty("accuracy").GetDouble() > curve[0].GetProperty("accuracy").GetDouble() + 0.2);
        Assert.Equal("inf", curve[^1].GetProperty("threshold").GetString());
        Assert.Equal(1.0, report.GetProperty("chosen").GetProperty("cost").GetDouble());
    }

    [Fact]
    public void A_budget_is_kept_and_the_choice_is_tested_on_other_items()
    {
        var report = Json("data: VAL\ntest: TEST\nbudget: 3\n");
        Assert.InRange(report.GetProperty("chosen").GetProperty("cost").GetDouble(), 1, 3);
        var test = report.GetProperty("test");
        Assert.Equal(40, test.GetProperty("items").GetInt32());
        Assert.Equal(1 + (4 * test.GetProperty("escalated").GetDouble()), test.GetProperty("cost").GetDouble(), 9);
        Assert.InRange(test.GetProperty("cascade").GetDouble(), test.GetProperty("interval")[0].GetDouble(), test.GetProperty("interval")[1].GetDouble());
    }

    [Fact]
    public void Votes_are_shares_of_the_samples()
    {
        var curve = Json("data: VAL\nbudget: 5\nconfidence: vote_share\nvotes: 4\n").GetProperty("curve").EnumerateArray().SkipLast(1);
        Assert.All(curve, point => Assert.Equal(0, point.GetProperty("threshold").GetDouble() * 4 % 1));
    }

    [Theory]
    [InlineData("data: VAL\ntarget_accuracy: 1\n", "'target_accuracy' is 1; the cascade reaches at most")]
    [InlineData("data: VAL\nbudget: 0.5\n", "'budget' is 0.5; the small model alone costs 1 per item")]
    [InlineData("data: CHOICES\nbudget: 2\nconfidence: vote_share\n", "'confidence: vote_share' needs items whose answers are written")]
    [InlineData("data: none.jsonl\nbudget: 2\n", "'data': ")]
    [InlineData("data: VAL\ntest: none.jsonl\nbudget: 2\n", "'test': ")]
    public void What_cannot_be_done_names_the_key(string more, string message)
    {
        var run = CommandLine.Run(["cascade", Document(more)]);
        Assert.Equal(2, run.ExitCode);
        Assert.Contains(message, run.Error, StringComparison.Ordinal);
        Assert.Empty(run.Output);
    }

    [Fact]
    public void A_file_without_a_cascade_is_told_so()
    {
        var run = CommandLine.Run(["cascade", _files.Write("m.yml", "merge_method: linear\nmodels: [{model: BASE, parameters: {weight: 1}}]\n")]);
        Assert.Equal(2, run.ExitCode);
        Assert.Contains("no document with 'cascade'", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Plan_and_run_name_the_command_that_is_meant()
    {
        var document = Document("data: VAL\nbudget: 3\n");
        var (plan, run) = (CommandLine.Run(["plan", document]), CommandLine.Run(["run", document, _files.Join("out")]));
        Assert.Contains("'mergekit cascade' carries this file out", plan.Error, StringComparison.Ordinal);
        Assert.Equal(2, run.ExitCode);
        Assert.Contains("'mergekit cascade' carries this file out", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void The_curve_is_written_as_a_page_without_scripts()
    {
        var run = CommandLine.Run(["cascade", Document("data: VAL\nbudget: 3\n"), "--html", _files.Join("curve.html")]);
        Assert.True(run.ExitCode == 0, run.ToString());
        var page = File.ReadAllText(_files.Join("curve.html"));
        Assert.Contains("<polyline class=\"curve\"", page, StringComparison.Ordinal);
        Assert.DoesNotContain("<script", page, StringComparison.Ordinal);
    }
}
