using System.Text.Json;
using MergeKit.Cli.Tests.Conformance;

namespace MergeKit.Cli.Tests.Commands;

/// <summary>The command line itself: help, slips, and output for machines.</summary>
public class UsageTests
{
    [Theory]
    [InlineData("")]
    [InlineData("--help")]
    [InlineData("-h")]
    public void Help_lists_the_commands(string arguments)
    {
        var result = CommandLine.Run(arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries));
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        Assert.All(new[] { "run <RECIPE> <OUT>", "plan <RECIPE>", "methods", "schema" }, line => Assert.Contains(line, result.Output, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("run --help")]
    [InlineData("plan -h")]
    [InlineData("methods --help")]
    [InlineData("--version")]
    public void Help_of_a_command_is_no_error(string arguments)
    {
        var result = CommandLine.Run(arguments.Split(' '));
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        Assert.NotEmpty(result.Output);
    }

    [Theory]
    [InlineData("rnu", "unknown command 'rnu', did you mean 'run'?", "mergekit --help")]
    [InlineData("rnu a b", "unknown command 'rnu'", "mergekit --help")]
    [InlineData("bake", "unknown command 'bake'", "mergekit --help")]
    [InlineData("--nonsense", "unknown option '--nonsense'", "mergekit --help")]
    [InlineData("run", "missing RECIPE and OUT", "mergekit run --help")]
    [InlineData("run a", "missing OUT", "mergekit run --help")]
    [InlineData("run a --resum", "unknown option '--resum', did you mean '--resume'?", "mergekit run --help")]
    [InlineData("plan --sumary", "unknown option '--sumary', did you mean '--summary'?", "mergekit plan --help")]
    [InlineData("--working-directory x", "a command is wanted", "mergekit --help")]
    [InlineData("run a b c", "unexpected argument 'c'", "mergekit run --help")]
    [InlineData("run a b --resum", "unknown option '--resum', did you mean '--resume'?", "mergekit run --help")]
    [InlineData("plan", "missing RECIPE", "mergekit plan --help")]
    [InlineData("plan x --num-threads 0", "--num-threads is 0", "mergekit plan --help")]
    [InlineData("plan x --num-threads many", "many", "--num-threads")]
    [InlineData("plan x --random-seed -1", "-1", "--random-seed")]
    [InlineData("plan x --out-shard-size 5X", "'5X' is not a size", "mergekit plan --help")]
    [InlineData("plan x --out-shard-size 0", "'0' is not a size", "mergekit plan --help")]
    [InlineData("plan x --out-shard-size -1GB", "'-1GB' is not a size", "mergekit plan --help")]
    [InlineData("plan x --chunk-size", "--chunk-size", "mergekit plan --help")]
    [InlineData("methods tise", "there is no merge method 'tise'", "Did you mean 'ties'?")]
    [InlineData("plan no/such/recipe.yml", "no/such/recipe.yml: there is no such recipe file", "error")]
    [InlineData("plan recipe.yml -C no/such/folder", "no/such/folder/recipe.yml: there is no such recipe file", "error")]
    public void A_slip_gives_one_line_and_exit_code_2(string arguments, params string[] wanted)
    {
        var result = CommandLine.Run(arguments.Split(' '));
        Assert.Equal((2, ""), (result.ExitCode, result.Output));
        var line = Assert.Single(result.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.StartsWith("error: ", line, StringComparison.Ordinal);
        Assert.All(wanted, text => Assert.Contains(text, line, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("1000", 1_000)]
    [InlineData("5GB", 5_000_000_000)]
    [InlineData("5G", 5_000_000_000)]
    [InlineData("5B", 5_000_000_000)]
    [InlineData("5gb", 5_000_000_000)]
    [InlineData("1.5 GB", 1_500_000_000)]
    [InlineData("200M", 200_000_000)]
    [InlineData("200MB", 200_000_000)]
    [InlineData("64K", 64_000)]
    [InlineData("1T", 1_000_000_000_000)]
    [InlineData("2GiB", 2L << 30)]
    [InlineData("500MiB", 500L << 20)]
    [InlineData("8KiB", 8L << 10)]
    public void Shard_sizes_are_spelt_in_many_ways(string text, long bytes)
    {
        Assert.True(Cli.Commands.Size.TryParse(text, out var size));
        Assert.Equal(bytes, size);
    }

    [Fact]
    public void Json_output_parses_and_says_what_was_done()
    {
        using var scratch = TemporaryFolder.InMemory(10_000_000);
        SyntheticModel.Llama(scratch.Join("a"), 1);
        File.WriteAllText(scratch.Join("recipe.yml"), "merge_method: passthrough\nmodels:\n- model: a\n");
        var plan = CommandLine.Run(["plan", "recipe.yml", "--json", "-C", scratch.Path]);
        using (var json = JsonDocument.Parse(plan.Output))
            Assert.Equal(21, json.RootElement.GetProperty("plans")[0].GetProperty("tensors").GetArrayLength());
        var run = CommandLine.Run(["run", "recipe.yml", "out", "--json", "-C", scratch.Path]);
        Assert.Equal((0, 0), (plan.ExitCode, run.ExitCode));
        using (var json = JsonDocument.Parse(run.Output))
            Assert.Contains("model.safetensors", json.RootElement.GetProperty("results")[0].GetProperty("files").EnumerateArray().Select(file => file.GetProperty("name").GetString()));
        using (JsonDocument.Parse(CommandLine.Run(["schema"]).Output)) { }
    }

    [Fact]
    public void A_plan_with_errors_prints_each_problem_once_and_json_all_the_same()
    {
        using var scratch = TemporaryFolder.InMemory(10_000_000);
        File.WriteAllText(scratch.Join("recipe.yml"), "merge_method: tise\nmodels:\n- {model: a, parameters: {weight: 1}}\n- {model: b, parameters: {weight: 1}}\n");
        var result = CommandLine.Run(["plan", "recipe.yml", "--json", "-C", scratch.Path]);
        Assert.Equal(2, result.ExitCode);
        var lines = result.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(3, lines.Length);
        Assert.Equal(lines.Distinct(), lines);
        using var json = JsonDocument.Parse(result.Output);
        Assert.Equal(3, json.RootElement.GetProperty("plans")[0].GetProperty("problems").GetArrayLength());
    }
}
