using MergeKit.Cli.Tests.Conformance;
using MergeKit.Core.Numerics;

namespace MergeKit.Cli.Tests.Moe;

/// <summary>What must hold of any mixture: copies of one model are that model, in every format, layout and number of experts per token.</summary>
public sealed class MixtureProofTests : IDisposable
{
    private readonly TemporaryFolder _scratch = TemporaryFolder.InMemory(100_000_000);

    public void Dispose() => _scratch.Dispose();

    /// <summary>Formats by the base they are made of; float32: logits (of size about 1) within 1e-5.</summary>
    public static TheoryData<string, string, string> Formats => new()
    {
        { DenseModel.Llama, "mixtral", "experts_per_token: 1" },
        { DenseModel.Llama, "mixtral", "experts_per_token: 2" },
        { DenseModel.Llama, "mixtral", "experts_per_token: 3" },
        { DenseModel.Llama, "mixtral", "experts_per_token: 2\nlayout: packed" },
        { DenseModel.Mistral, "mixtral", "experts_per_token: 2" },
        { DenseModel.Llama, "deepseek", "experts_per_token: 2" },
        { DenseModel.Llama, "deepseek", "experts_per_token: 2\nlayer_range: [1, 3]" },
        { DenseModel.Qwen3, "qwen3", "experts_per_token: 2" },
        { DenseModel.Qwen3, "qwen3", "experts_per_token: 3\nlayout: packed" },
        { DenseModel.Qwen3, "qwen3", "experts_per_token: 2\nlayer_range: [1, 2]" },
        { DenseModel.DeepseekV3, "deepseek_v3", "experts_per_token: 2" },
        { DenseModel.DeepseekV3, "deepseek_v3", "experts_per_token: 2\nlayer_range: [2, 3]" },
    };

    [Theory]
    [MemberData(nameof(Formats))]
    public void Copies_of_one_model_give_what_it_gives(string kind, string format, string settings)
    {
        var dense = DenseModel.Write(_scratch.Join("dense"), kind, 1);
        Run("out", $"base_model: dense\narchitecture: {format}\n{settings}\ngate_mode: random\nexperts:\n- {{source_model: dense, copies: 3}}\n");
        Assert.True(DenseModel.Logits(dense).Max(Math.Abs) > 0.1f, "the model gives next to nothing");
        Assert.InRange(DenseModel.Distance(dense, _scratch.Join("out")), 0, 1e-5);
    }

    /// <summary>In bfloat16 the tensors are the same bytes and the engine computes in float32: nothing is lost either.</summary>
    [Fact]
    public void Copies_in_bfloat16_give_what_the_model_gives()
    {
        var dense = DenseModel.Write(_scratch.Join("dense"), DenseModel.Llama, 1, DType.BF16);
        Run("out", "base_model: dense\ngate_mode: uniform_random\nexperts:\n- {source_model: dense, copies: 4}\n");
        Assert.InRange(DenseModel.Distance(dense, _scratch.Join("out")), 0, 1e-5);
    }

    /// <summary>Shared experts: with a routed block scaled to nothing, n shared copies of weight 1/n are the dense model.</summary>
    [Theory]
    [InlineData("deepseek", DenseModel.Llama, 1)]
    [InlineData("deepseek", DenseModel.Llama, 2)]
    [InlineData("qwen", DenseModel.Llama, 2)]
    [InlineData("qwen", DenseModel.Qwen2, 1)]
    [InlineData("deepseek_v3", DenseModel.DeepseekV3, 2)]
    public void Shared_experts_add_up(string format, string kind, int count)
    {
        var dense = DenseModel.Write(_scratch.Join("dense"), kind, 1);
        var scale = (format == "qwen" ? 2.0 : 1.0) / count; // without prompts the gate on the shared expert is a half
        var shared = string.Concat(Enumerable.Repeat($"- {{source_model: dense, residual_scale: {scale}}}\n", count));
        Run("out", $"base_model: dense\narchitecture: {format}\ngate_mode: random\nexperts:\n- {{source_model: dense, copies: 2, residual_scale: 0}}\nshared_experts:\n{shared}");
        if (format == "qwen")
            ZeroGates("shared_expert_gate.weight");
        Assert.InRange(DenseModel.Distance(dense, _scratch.Join("out")), 0, 1e-5);
    }

    /// <summary>Of several shared experts each has the noise that its own entry asks for, before its factor.</summary>
    [Theory]
    [InlineData("deepseek", DenseModel.Llama)]
    [InlineData("qwen", DenseModel.Qwen2)]
    public void Each_of_several_shared_experts_has_its_own_noise(string format, string kind)
    {
        DenseModel.Write(_scratch.Join("dense"), kind, 1);
        string Recipe(string noise) => $"base_model: dense\narchitecture: {format}\ngate_mode: random\nexperts:\n- {{source_model: dense, copies: 2}}\n"
            + $"shared_experts:\n- {{source_model: dense, residual_scale: 0.5}}\n- {{source_model: dense, residual_scale: 0.25, noise_scale: {noise}}}\n";
        Run("plain", Recipe("0"));
        Run("noisy", Recipe("0.125"));
        Run("again", Recipe("0.125"), "--num-threads", "1", "--chunk-size", "16384");
        var (plain, noisy, again) = (LoadedTensor.LoadAll(_scratch.Join("plain")), LoadedTensor.LoadAll(_scratch.Join("noisy")), LoadedTensor.LoadAll(_scratch.Join("again")));
        Assert.All(noisy, pair => Assert.Equal(pair.Value.Bytes, again[pair.Key].Bytes));
        var seen = new HashSet<double>();
        foreach (var (name, tensor) in noisy.Where(pair => pair.Key.Contains(".shared_expert", StringComparison.Ordinal) && pair.Key.EndsWith("_proj.weight", StringComparison.Ordinal)))
        {
            var down = name.Contains("down_proj", StringComparison.Ordinal);
            var (columns, scale) = ((int)tensor.Shape[1], down ? 0.25 : 1);
            double[] added = [.. tensor.Values().Zip(plain[name].Values(), (a, b) => (a - b) / scale / 0.125)];
            var second = added.Where((_, i) => down ? i % columns >= columns / 2 : i >= added.Length / 2).ToList();
            Assert.Equal(added.Length / 2, second.Count);
            Assert.All(added.Where((_, i) => down ? i % columns < columns / 2 : i < added.Length / 2), value => Assert.Equal(0, value));
            Assert.InRange(second.Average(), -0.15, 0.15);
            Assert.InRange(second.Sum(value => value * value) / second.Count, 0.8, 1.2);
            Assert.True(seen.Add(second[0]), $"{name} has another tensor's noise");
        }

        Assert.Equal(9, seen.Count);
    }

    [Fact]
    public void Every_token_goes_to_one_expert_where_the_router_says_so_and_the_others_are_empty()
    {
        foreach (var (name, seed) in new[] { ("a", 1), ("b", 2) })
            DenseModel.Write(_scratch.Join(name), DenseModel.Llama, seed);
        Run("out", "base_model: a\ngate_mode: random\nexperts_per_token: 1\nexperts:\n- source_model: a\n- source_model: b\n- source_model: b\n");
        ZeroGates("block_sparse_moe.gate.weight"); // equal logits: the lowest expert, for every token
        Assert.InRange(DenseModel.Distance(_scratch.Join("a"), _scratch.Join("out")), 0, 1e-5);
    }

    /// <summary>A mixture of different experts is not any one of them, so that the proofs above cannot hold by accident.</summary>
    [Fact]
    public void Different_experts_make_a_difference()
    {
        foreach (var (name, seed) in new[] { ("a", 1), ("b", 2) })
            DenseModel.Write(_scratch.Join(name), DenseModel.Llama, seed);
        Run("out", "base_model: a\ngate_mode: random\nexperts:\n- source_model: a\n- source_model: b\n");
        Assert.True(DenseModel.Distance(_scratch.Join("a"), _scratch.Join("out")) > 1e-2);
    }

    [Fact]
    public void Noise_has_the_deviation_that_is_asked_for_and_packing_changes_no_byte_without_it()
    {
        DenseModel.Write(_scratch.Join("dense"), DenseModel.Llama, 1);
        foreach (var layout in new[] { "experts", "packed" })
        {
            Run("noisy-" + layout, $"base_model: dense\nlayout: {layout}\ngate_mode: random\nexperts:\n- {{source_model: dense, noise_scale: 0.25, copies: 2}}\n");
            Run("plain-" + layout, $"base_model: dense\nlayout: {layout}\ngate_mode: random\nexperts:\n- {{source_model: dense, copies: 2}}\n");
            var (noisy, plain) = (Fused("noisy-" + layout), Fused("plain-" + layout));
            var difference = noisy.Where(pair => pair.Key.Contains("experts", StringComparison.Ordinal))
                .SelectMany(pair => pair.Value.Values().Zip(plain[pair.Key].Values(), (a, b) => a - b)).ToList();
            Assert.InRange(Math.Sqrt(difference.Average(d => d * d)), 0.24, 0.26);
            Assert.InRange(difference.Average(), -0.01, 0.01);
        }

        var (one, other) = (Fused("plain-experts"), Fused("plain-packed"));
        Assert.Equal(one.Keys, other.Keys);
        Assert.All(one.Where(pair => !pair.Key.EndsWith("gate.weight", StringComparison.Ordinal)), pair => Assert.Equal(pair.Value.Bytes, other[pair.Key].Bytes));
    }

    [Fact]
    public void The_bytes_depend_on_neither_threads_nor_chunks_but_on_the_seed()
    {
        foreach (var (name, seed) in new[] { ("a", 1), ("b", 2) })
            DenseModel.Write(_scratch.Join(name), DenseModel.Llama, seed, DType.BF16);
        const string recipe = "base_model: a\ngate_mode: random\nexperts:\n- {source_model: a, noise_scale: 0.1}\n- {source_model: b, residual_scale: 0.5}\nbackbone:\n  merge_method: linear\n  parameters: {weight: 1}\n";
        string Hash(string output, params string[] more)
        {
            Run(output, recipe, more);
            return Commands.FolderContent.Read(_scratch.Join(output))["model.safetensors"];
        }

        var first = Hash("one", "--num-threads", "1", "--random-seed", "5");
        Assert.Equal(first, Hash("two", "--num-threads", "3", "--chunk-size", "16384", "--random-seed", "5"));
        Assert.NotEqual(first, Hash("three", "--random-seed", "6"));
    }

    private void Run(string output, string recipe, params string[] more)
    {
        File.WriteAllText(_scratch.Join("r.yml"), recipe);
        var run = CommandLine.Run(["run", "r.yml", output, "--no-check", "--working-directory", _scratch.Path, .. more]);
        Assert.True(run.ExitCode == 0, run.ToString());
    }

    private SortedDictionary<string, LoadedTensor> Fused(string folder) => MixtralLayout.Fuse(LoadedTensor.LoadAll(_scratch.Join(folder)), []);

    private void ZeroGates(string suffix)
    {
        var tensors = LoadedTensor.LoadAll(_scratch.Join("out"));
        foreach (var gate in tensors.Values.Where(tensor => tensor.Name.EndsWith(suffix, StringComparison.Ordinal)).ToList())
            tensors[gate.Name] = gate with { Bytes = new byte[gate.Bytes.Length] };
        SafetensorsFile.Write(_scratch.Join("out", "model.safetensors"), tensors.Values);
    }
}
