using MergeKit.Cli.Tests.Conformance;
using MergeKit.Core.Numerics;

namespace MergeKit.Cli.Tests.Moe;

/// <summary>The way back: a mixture of experts as a dense model.</summary>
public sealed class CollapseTests : IDisposable
{
    private readonly TemporaryFolder _scratch = TemporaryFolder.InMemory(100_000_000);

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData(DenseModel.Llama, "mixtral", "layout: experts")]
    [InlineData(DenseModel.Llama, "mixtral", "layout: packed")]
    [InlineData(DenseModel.Mistral, "mixtral", "layout: experts")]
    [InlineData(DenseModel.Llama, "deepseek", "layer_range: [1, 3]")]
    [InlineData(DenseModel.Qwen3, "qwen3", "layout: packed\nlayer_range: [0, 2]")]
    [InlineData(DenseModel.DeepseekV3, "deepseek_v3", "layer_range: [1, 3]")]
    public void One_expert_comes_back_as_it_was(string kind, string format, string settings)
    {
        DenseModel.Write(_scratch.Join("a"), kind, 1);
        DenseModel.Write(_scratch.Join("b"), kind, 2);
        Run("moe", $"base_model: a\narchitecture: {format}\n{settings}\ngate_mode: random\nexperts:\n- source_model: b\n- source_model: a\n");
        Run("back", "collapse: moe\nmerge_method: passthrough\nexperts:\n- expert: 1\n");
        var (want, got) = (LoadedTensor.LoadAll(_scratch.Join("a")), LoadedTensor.LoadAll(_scratch.Join("back")));
        Assert.Equal(want.Keys, got.Keys);
        Assert.All(want, pair => Assert.Equal(pair.Value.Bytes, got[pair.Key].Bytes));
        Assert.Equal(0, DenseModel.Distance(_scratch.Join("a"), _scratch.Join("back")));
    }

    [Fact]
    public void Experts_are_merged_by_the_method_and_all_else_is_copied()
    {
        foreach (var (name, seed) in new[] { ("base", 1), ("a", 2), ("b", 3) })
            DenseModel.Write(_scratch.Join(name), DenseModel.Llama, seed);
        Run("moe", "base_model: base\ngate_mode: random\nexperts:\n- source_model: a\n- source_model: b\n");
        Run("mean", "collapse: moe\nmerge_method: linear\nexperts:\n- {expert: 0, parameters: {weight: 3}}\n- {expert: 1, parameters: {weight: 1}}\n");
        Run("ties", "collapse: moe\nmerge_method: ties\nbase_model: base\nparameters: {weight: 1, density: 0.5}\n");
        Run("direct", "merge_method: ties\nbase_model: base\nmodels:\n- model: a\n- model: b\nparameters: {weight: 1, density: 0.5}\n");
        var (source, a, b, mean) = (Load("base"), Load("a"), Load("b"), Load("mean"));
        foreach (var (name, tensor) in mean)
            if (name.Contains(".mlp.", StringComparison.Ordinal))
                Assert.All(tensor.Values().Zip(a[name].Values(), b[name].Values()), trio => Assert.Equal((0.75 * trio.Second) + (0.25 * trio.Third), trio.First, 1e-6));
            else
                Assert.Equal(source[name].Bytes, tensor.Bytes);
        var (ties, direct) = (Load("ties"), Load("direct"));
        Assert.All(ties.Where(pair => pair.Key.Contains(".mlp.", StringComparison.Ordinal)), pair => Assert.Equal(direct[pair.Key].Bytes, pair.Value.Bytes));
    }

    [Theory]
    [InlineData("deepseek", DenseModel.Llama)]
    [InlineData("deepseek_v3", DenseModel.DeepseekV3)]
    public void A_shared_expert_is_kept_beside_the_merged_one(string format, string kind)
    {
        foreach (var (name, seed) in new[] { ("a", 1), ("b", 2) })
            DenseModel.Write(_scratch.Join(name), kind, seed);
        Run("moe", $"base_model: a\narchitecture: {format}\ngate_mode: random\nexperts:\n- {{source_model: a, copies: 2}}\nshared_experts:\n- {{source_model: b, residual_scale: 0.5}}\n");
        Run("dense", "collapse: moe\nmerge_method: linear\nparameters: {weight: 1}\n");
        Assert.InRange(DenseModel.Distance(_scratch.Join("moe"), _scratch.Join("dense")), 0, 2e-5);
    }

    [Fact]
    public void What_is_no_mixture_is_refused_by_name_and_so_is_an_expert_that_is_not_there()
    {
        DenseModel.Write(_scratch.Join("a"), DenseModel.Llama, 1);
        Run("moe", "base_model: a\ngate_mode: random\nexperts:\n- {source_model: a, copies: 2}\n");
        Refused("collapse: a\nmerge_method: linear\nparameters: {weight: 1}\n", "'a' cannot be collapsed into a dense model: it has no experts (LlamaForCausalLM)");
        Refused("collapse: moe\nmerge_method: passthrough\nexperts:\n- expert: 2\n", "it has 2 experts, 0 to 1");
        Refused("collapse: moe\nmerge_method: linnear\n", "Did you mean 'linear'?");
        Refused("collapse: moe\nmerge_method: ties\nparameters: {weight: 1}\n", "base_model");
    }

    private SortedDictionary<string, LoadedTensor> Load(string folder) => LoadedTensor.LoadAll(_scratch.Join(folder));

    private RunResult Start(string output, string recipe)
    {
        File.WriteAllText(_scratch.Join("r.yml"), recipe);
        return CommandLine.Run(["run", "r.yml", output, "--no-check", "--working-directory", _scratch.Path]);
    }

    private void Run(string output, string recipe)
    {
        var run = Start(output, recipe);
        Assert.True(run.ExitCode == 0, run.ToString());
    }

    private void Refused(string recipe, string message) => Commands.BadModelTests.CheckRefusal(Start("refused", recipe), 2, message);
}
