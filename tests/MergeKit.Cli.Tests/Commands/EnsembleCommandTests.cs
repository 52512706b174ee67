using System.Text.Json;
using MergeKit.Cli.Tests.Conformance;
using MergeKit.Core.Checkpoints;

namespace MergeKit.Cli.Tests.Commands;

/// <summary>A recipe of an ensemble stands wherever a model may stand.</summary>
public sealed class EnsembleCommandTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    private static string Model(string name) => Path.Combine(Repository.Root, "examples", "models", name);

    public void Dispose() => _folder.Dispose();

    private string Recipe(string yaml)
    {
        var path = _folder.Join("careful.yml");
        File.WriteAllText(path, yaml);
        return path;
    }

    private string Linear(double first = 0.5) => Recipe(FormattableString.Invariant(
        $"ensemble: linear\nmodels:\n- {{model: \"{Model("ft-code")}\", parameters: {{weight: {first}}}}}\n- {{model: \"{Model("base")}\", parameters: {{weight: {1 - first}}}}}\n"));

    private string Data()
    {
        var path = _folder.Join("text.txt");
        File.WriteAllText(path, "/* Returns the number of bits that are set. */\nint count_bits(unsigned int word)\n{\n    return 0;\n}\n");
        return path;
    }

    private static RunResult Done(params string[] args)
    {
        var run = CommandLine.Run(args);
        Assert.True(run.ExitCode == 0, run.ToString());
        return run;
    }

    [Fact]
    public void Evaluate_puts_it_beside_models()
    {
        var run = Done("evaluate", Linear(), Model("ft-code"), "--data", Data(), "--json");
        var models = JsonDocument.Parse(run.Output).RootElement.ToString();
        Assert.Contains("careful", models, StringComparison.Ordinal);
        Assert.Contains("ft-code", models, StringComparison.Ordinal);
    }

    [Fact]
    public void A_member_alone_is_that_model()
    {
        using var scratch = new TemporaryFolder();
        Done("logits", Linear(1), "--ids", "0", "5", "9", "--out", scratch.Join("ensemble.safetensors"));
        Done("logits", Model("ft-code"), "--ids", "0", "5", "9", "--out", scratch.Join("model.safetensors"));
        using var ensemble = Checkpoint.Open(scratch.Join("ensemble.safetensors"));
        using var model = Checkpoint.Open(scratch.Join("model.safetensors"));
        Assert.Equal([3L, 2048], ensemble.Get("logits").Shape);
        Assert.Null(ensemble.Find("hidden_0"));
        var (combined, logits) = (Read(ensemble, "logits"), Read(model, "logits"));
        for (var row = 0; row < 3; row++)
        {
            var total = Math.Log(logits.Skip(row * 2048).Take(2048).Sum(value => Math.Exp(value)));
            for (var i = row * 2048; i < (row + 1) * 2048; i++)
                Assert.Equal(logits[i] - total, combined[i], 1e-4);
        }

        var arguments = new[] { "--prompt", "static int ", "-n", "12" };
        Assert.Equal(Done(["generate", Model("ft-code"), .. arguments]).Output, Done(["generate", Linear(1), .. arguments]).Output);
    }

    [Fact]
    public void Generate_over_bytes_writes_text()
    {
        var recipe = Recipe($"ensemble: linear\nmodels: [{{model: \"{Model("ft-code")}\"}}, {{model: \"{Model("base")}\"}}]\nvocabulary: {{mode: bytes, max_covers: 2}}\n");
        var text = Done("generate", recipe, "--prompt", "static int ", "-n", "8").Output.TrimEnd('\n', '\r');
        Assert.InRange(text.Length, 1, 8);
    }

    [Fact]
    public void Run_says_what_to_do_with_it_or_measures()
    {
        var alone = CommandLine.Run(["run", Linear(), _folder.Join("out")]);
        Assert.Equal(2, alone.ExitCode);
        Assert.Contains("mergekit evaluate", alone.Error, StringComparison.Ordinal);
        Assert.False(Directory.Exists(_folder.Join("out")));
        var measured = Done("run", Recipe(File.ReadAllText(Linear()) + $"---\nevaluate:\n- data: \"{Data()}\"\n"), _folder.Join("out"));
        Assert.Contains("| careful |", measured.Output, StringComparison.Ordinal);
        Assert.Contains("| ft-code |", measured.Output, StringComparison.Ordinal);
        Assert.True(File.Exists(_folder.Join("out", "report.html")));
        Assert.Contains("ensemble: linear", File.ReadAllText(_folder.Join("out", "mergekit_config.yml")), StringComparison.Ordinal);
    }

    [Fact]
    public void An_ensemble_may_use_the_merge_of_its_file_before_and_after_it_is_written()
    {
        var recipe = Recipe($"""
            merge_method: linear
            name: mean
            models:
            - model: "{Model("ft-code")}"
              parameters: [weight]
            """.Replace("parameters: [weight]", "parameters: {weight: 1}", StringComparison.Ordinal) + $"\ndtype: float32\n---\nname: both\nensemble: linear\nmodels: [{{model: mean}}, {{model: \"{Model("base")}\"}}]\n---\n"
            + $"evaluate:\n- data: \"{Data()}\"\nmodels: [{{model: both}}]\n");
        Done("evaluate", recipe, "--data", Data());
        var run = Done("run", recipe, _folder.Join("out"), "--no-check");
        Assert.Contains("| both |", run.Output, StringComparison.Ordinal);
        Assert.Contains("| out |", run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Plan_names_the_members_and_every_fault()
    {
        var plan = Done("plan", Linear());
        Assert.Contains("x 0.5: a model", plan.Output, StringComparison.Ordinal);
        Assert.Contains("nothing is written", plan.Output, StringComparison.Ordinal);
        var wrong = CommandLine.Run(["plan", Recipe("ensemble: linear\nmodels:\n- model: /nowhere/one\n- model: /nowhere/two\n")]);
        Assert.Equal(2, wrong.ExitCode);
        Assert.Contains("/nowhere/one", wrong.Error, StringComparison.Ordinal);
        Assert.Contains("/nowhere/two", wrong.Error, StringComparison.Ordinal);
        Assert.Contains("careful.yml:3", wrong.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Recipes_that_use_each_other_end()
    {
        var recipe = Recipe($"ensemble: linear\nmodels: [{{model: \"{_folder.Join("careful.yml")}\"}}]\n");
        var run = CommandLine.Run(["evaluate", recipe, "--data", Data()]);
        Assert.Equal(2, run.ExitCode);
        Assert.Contains("circle", run.Error, StringComparison.Ordinal);
    }

    private static float[] Read(Checkpoint checkpoint, string name)
    {
        var tensor = checkpoint.Get(name);
        var values = new float[tensor.ElementCount];
        checkpoint.Read(tensor, 0, System.Runtime.InteropServices.MemoryMarshal.AsBytes(values.AsSpan()));
        return values;
    }
}
