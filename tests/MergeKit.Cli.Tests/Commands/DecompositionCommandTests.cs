using System.Text.Json.Nodes;
using MergeKit.Cli.Tests.Conformance;
using MergeKit.Core.Numerics;
using MergeKit.Inference.Backends.Cuda;

namespace MergeKit.Cli.Tests.Commands;

/// <summary>What commands say of methods that decompose matrices, and where they do it.</summary>
public sealed class DecompositionCommandTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public DecompositionCommandTests()
    {
        foreach (var (model, seed) in new[] { ("a", 1), ("b", 2), ("c", 3) })
            SyntheticModel.Llama(_folder.Join(model), seed, DType.F32, layers: 1, hidden: 16, vocabulary: 20, inner: 24);
        Recipe("iso_c");
    }

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("iso_c", 9)]
    [InlineData("tsv_m", 36)]
    public void The_plan_states_their_number_size_cost_and_place(string method, int matrices)
    {
        Recipe(method);
        var plan = Run("plan", "recipe.yml", "--summary", "--device", "cpu");
        Assert.Equal(0, plan.ExitCode);
        Assert.Matches($@"decomposes {matrices} matrices, the largest 16 x 24: about \d\.\de\d floating-point operations and less than a second on the CPU \(.*double precision\); up to [\d,]+ bytes are held", plan.Output);
        var json = JsonNode.Parse(Run("plan", "recipe.yml", "--json", "--device", "cpu").Output)!["plans"]![0]!["decompositions"]!;
        Assert.Equal((matrices, "16 x 24"), (json["matrices"]!.GetValue<int>(), json["largest"]!.GetValue<string>()));
        Assert.True(json["operations"]!.GetValue<double>() > 0 && json["seconds"]!.GetValue<double>() > 0 && json["bytes"]!.GetValue<long>() > 0);
    }

    [Fact]
    public void Other_methods_say_nothing_of_it()
    {
        File.WriteAllText(_folder.Join("recipe.yml"), "merge_method: linear\nmodels:\n- {model: b, parameters: {weight: 1}}\n- {model: c, parameters: {weight: 1}}\n");
        Assert.DoesNotContain("decomposes", Run("plan", "recipe.yml", "--summary").Output, StringComparison.Ordinal);
        Assert.Null(JsonNode.Parse(Run("plan", "recipe.yml", "--json").Output)!["plans"]![0]!["decompositions"]);
    }

    [Fact]
    public void Extraction_states_its_cost_and_merged_adapters_take_a_device()
    {
        var made = Run("extract-lora", "--model", "b", "--base-model", "a", "--out-path", "lora", "--max-rank", "4", "--skip-undecomposable", "-e", "embed", "-e", "lm_head", "--device", "cpu");
        Assert.Equal(0, made.ExitCode);
        Assert.Matches(@"note: factors 7 matrices, the largest (24 x 16|16 x 24): about .* on the CPU", made.Error);
        File.WriteAllText(_folder.Join("adapters.yml"), "merge_method: linear\nmodels:\n- {model: lora, parameters: {weight: 0.5}}\n");
        Assert.Equal(0, Run("merge-adapters", "adapters.yml", "merged", "--max-rank", "2", "--device", "cpu").ExitCode);
    }

    [Fact]
    public void A_gpu_that_is_not_there_is_refused_where_it_was_asked_for_by_name()
    {
        Assert.SkipWhen(CudaDevice.Discover().Usable.Count > 0, "not run, there is a GPU");
        foreach (var command in new[] { new[] { "run", "recipe.yml", "out", "--no-check" }, ["extract-lora", "--model", "b", "--base-model", "a", "--out-path", "out"] })
        {
            var result = Run([.. command, "--device", "cuda:1"]);
            Assert.Equal(1, result.ExitCode);
            Assert.Contains("cuda:1 cannot decompose matrices: ", result.Error, StringComparison.Ordinal);
            Assert.Contains("--device cpu", result.Error, StringComparison.Ordinal);
            Assert.False(Directory.Exists(_folder.Join("out")));
        }
    }

    private void Recipe(string method) =>
        File.WriteAllText(_folder.Join("recipe.yml"), $"merge_method: {method}\nbase_model: a\nmodels:\n- model: b\n- model: c\n");

    private RunResult Run(params string[] arguments) => CommandLine.Run([.. arguments, "-C", _folder.Path]);
}
