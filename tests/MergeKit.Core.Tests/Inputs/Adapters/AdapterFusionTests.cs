using System.Text.Json.Nodes;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Inputs;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Tests.Inputs.Adapters;

/// <summary>Every kind of adapter against its formula in double precision.</summary>
public sealed class AdapterFusionTests : IDisposable
{
    private const int Hidden = 64;
    private readonly TemporaryFolder _scratch = new();
    private readonly SplitMix _dice = new(11);
    private readonly string _model;
    private readonly IDictionary<string, LoadedTensor> _weights;

    public AdapterFusionTests()
    {
        _model = SyntheticModel.Llama(_scratch.Join("model"), 1, DType.F32);
        _weights = LoadedTensor.LoadAll(_model);
    }

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData(false, 3.0)]
    [InlineData(true, 4.242640687119285)]
    public void Scale_is_alpha_over_r_or_its_root(bool stabilised, double scale)
    {
        var (a, b) = (_dice.Array(2 * Hidden), _dice.Array(2 * Hidden));
        var adapter = Linear("model.layers.1.self_attn.q_proj", a, b).Set("use_rslora", stabilised).Write(_scratch.Join("a"));
        AssertAdded(adapter, "model.layers.1.self_attn.q_proj.weight", AdapterFiles.Product(b, a, 2, scale));
    }

    [Fact]
    public void Ranks_and_alphas_of_single_modules()
    {
        var (a, b) = (_dice.Array(5 * Hidden), _dice.Array(5 * Hidden));
        var (a2, b2) = (_dice.Array(2 * Hidden), _dice.Array(2 * Hidden));
        var adapter = new AdapterFiles().Set("rank_pattern", new JsonObject { ["layers.1.self_attn.k_proj"] = 5 }).Set("alpha_pattern", new JsonObject { [".*.k_proj"] = 20 })
            .Add("model.layers.1.self_attn.k_proj.lora_A.weight", [5, Hidden], a).Add("model.layers.1.self_attn.k_proj.lora_B.weight", [Hidden, 5], b)
            .Add("model.layers.0.self_attn.q_proj.lora_A.weight", [2, Hidden], a2).Add("model.layers.0.self_attn.q_proj.lora_B.weight", [Hidden, 2], b2).Write(_scratch.Join("a"));
        AssertAdded(adapter, "model.layers.1.self_attn.k_proj.weight", AdapterFiles.Product(b, a, 5, 4));
        AssertAdded(adapter, "model.layers.0.self_attn.q_proj.weight", AdapterFiles.Product(b2, a2, 2, 3));
    }

    [Fact]
    public void Weights_stored_in_by_out()
    {
        var (a, b) = (_dice.Array(2 * 96), _dice.Array(2 * Hidden));
        var adapter = new AdapterFiles().Set("fan_in_fan_out", true).Add("model.layers.0.mlp.up_proj.lora_A.weight", [2, 96], a).Add("model.layers.0.mlp.up_proj.lora_B.weight", [Hidden, 2], b).Write(_scratch.Join("a"));
        AssertAdded(adapter, "model.layers.0.mlp.up_proj.weight", AdapterFiles.Transposed(AdapterFiles.Product(b, a, 2, 3), 96));
    }

    [Fact]
    public void Embeddings()
    {
        var (a, b) = (_dice.Array(2 * 160), _dice.Array(2 * Hidden));
        var adapter = new AdapterFiles().Add("model.embed_tokens.lora_embedding_A", [2, 160], a).Add("model.embed_tokens.lora_embedding_B", [Hidden, 2], b).Write(_scratch.Join("a"));
        AssertAdded(adapter, "model.embed_tokens.weight", AdapterFiles.Transposed(AdapterFiles.Product(b, a, 2, 3), 160));
    }

    [Fact]
    public void DoRA_normalises_each_output()
    {
        var (a, b, m) = (_dice.Array(2 * Hidden), _dice.Array(2 * Hidden), _dice.Array(Hidden, 0.5f, 2));
        var adapter = Linear("model.layers.0.self_attn.q_proj", a, b).Set("use_dora", true).Add("model.layers.0.self_attn.q_proj.lora_magnitude_vector", [Hidden], m).Write(_scratch.Join("a"));
        var sum = AdapterFiles.Product(b, a, 2, 3).Zip(_weights["model.layers.0.self_attn.q_proj.weight"].Values(), (x, y) => x + y).ToArray();
        var wanted = sum.Select((value, i) => m[i / Hidden] * value / Math.Sqrt(sum.AsSpan(i / Hidden * Hidden, Hidden).ToArray().Sum(x => x * x))).ToArray();
        AssertIs(adapter, "model.layers.0.self_attn.q_proj.weight", wanted);
    }

    [Fact]
    public void Saved_modules_and_biases_replace_the_models()
    {
        var norm = _dice.Array(Hidden);
        var adapter = new AdapterFiles().Set("bias", "all").Add("model.norm.modules_to_save.weight", [Hidden], norm).Add("model.layers.0.self_attn.q_proj.bias", [Hidden], norm).Write(_scratch.Join("a"));
        using var fused = ModelInput.Open($"{_model}+{adapter}");
        Assert.Equal(norm, fused.Checkpoint.ReadAll(fused.Checkpoint.Get("model.norm.weight")));
        Assert.Equal(norm, fused.Checkpoint.ReadAll(fused.Checkpoint.Get("model.layers.0.self_attn.q_proj.bias")));
    }

    /// <summary>An adapter of another name than PEFT's default may stand in the names of its tensors.</summary>
    [Theory]
    [InlineData("model.norm.modules_to_save.german.weight", null)]
    [InlineData("model.norm.modules_to_save.default.weight", null)]
    [InlineData("model.norm.modules_to_save.german.weight", "german")]
    [InlineData("model.modules_to_save.german.norm.weight", "german")]
    [InlineData("model.modules_to_save.norm.weight", null)]
    public void Saved_modules_of_named_adapters_replace_the_models(string tensor, string? name)
    {
        var norm = _dice.Array(Hidden);
        var files = new AdapterFiles().Add(tensor, [Hidden], norm);
        if (name is not null)
            files.Add($"model.layers.0.self_attn.q_proj.lora_A.{name}.weight", [2, Hidden], _dice.Array(2 * Hidden)).Add($"model.layers.0.self_attn.q_proj.lora_B.{name}.weight", [Hidden, 2], new float[2 * Hidden]);
        using var fused = ModelInput.Open($"{_model}+{files.Set("r", 2).Write(_scratch.Join("a"))}");
        Assert.Equal(norm, fused.Checkpoint.ReadAll(fused.Checkpoint.Get("model.norm.weight")));
    }

    [Fact]
    public void The_sum_is_rounded_once_to_the_models_type()
    {
        var model = SyntheticModel.Llama(_scratch.Join("bf16"), 1, DType.BF16);
        var (a, b) = (_dice.Array(2 * Hidden, -0.1f, 0.1f), _dice.Array(2 * Hidden, -0.1f, 0.1f));
        var adapter = Linear("model.layers.0.self_attn.q_proj", a, b).Write(_scratch.Join("a"));
        using var fused = ModelInput.Open($"{model}+{adapter}");
        var tensor = fused.Checkpoint.Get("model.layers.0.self_attn.q_proj.weight");
        var exact = AdapterFiles.Product(b, a, 2, 3).Zip(LoadedTensor.LoadAll(model)[tensor.Name].Values(), (x, y) => x + y).ToArray();
        var values = fused.Checkpoint.ReadAll(tensor);
        Assert.Equal(DType.BF16, tensor.DType);
        for (var i = 0; i < exact.Length; i++)
            Assert.InRange(Math.Abs(values[i] - exact[i]), 0, Math.Abs(exact[i]) * 0.00391 + 1e-7);
    }

    [Fact]
    public void A_tied_head_is_written_apart_where_only_one_of_the_two_changes()
    {
        var nano = TrainedModels.Folder("nano", "base");
        var (a, b) = (_dice.Array(2 * 128), _dice.Array(2 * 2048));
        var adapter = new AdapterFiles().Add("lm_head.lora_A.weight", [2, 128], a).Add("lm_head.lora_B.weight", [2048, 2], b).Write(_scratch.Join("a"));
        using var fused = ModelInput.Open($"{nano}+{adapter}");
        Assert.False(fused.Config!.GetBool("tie_word_embeddings"));
        using var plain = ModelInput.Open(nano);
        var embedding = plain.Checkpoint.ReadAll(plain.Checkpoint.Get("model.embed_tokens.weight"));
        Assert.Equal(embedding, fused.Checkpoint.ReadAll(fused.Checkpoint.Get("model.embed_tokens.weight")));
        Assert.NotEqual(embedding, fused.Checkpoint.ReadAll(fused.Checkpoint.Get("lm_head.weight")));
    }

    [Theory]
    [InlineData("peft_type", "\"IA3\"", "IA3")]
    [InlineData("layer_replication", "[[0, 1]]", "layer_replication")]
    [InlineData("target_parameters", "[\"x\"]", "target_parameters")]
    [InlineData("r", "3", "rank 3")]
    [InlineData("use_dora", "true", "lora_magnitude_vector")]
    [InlineData("rank_pattern", "{\"(\": 1}", "rank_pattern")]
    public void Settings_that_cannot_be_followed_are_named(string key, string value, string seen)
    {
        var adapter = Linear("model.layers.0.self_attn.q_proj", new float[2 * Hidden], new float[2 * Hidden]).Set(key, JsonNode.Parse(value)).Write(_scratch.Join("a"));
        Assert.Contains(seen, Assert.Throws<InputException>(() => ModelInput.Open($"{_model}+{adapter}")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Modules_that_the_model_lacks_and_wrong_shapes_are_all_named()
    {
        var adapter = new AdapterFiles().Add("model.layers.9.self_attn.q_proj.lora_A.weight", [2, Hidden], new float[2 * Hidden]).Add("model.layers.9.self_attn.q_proj.lora_B.weight", [Hidden, 2], new float[2 * Hidden])
            .Add("model.layers.0.mlp.up_proj.lora_A.weight", [2, 96], new float[192]).Add("model.layers.0.mlp.up_proj.lora_B.weight", [Hidden, 2], new float[2 * Hidden]).Write(_scratch.Join("a"));
        var message = Assert.Throws<InputException>(() => ModelInput.Open($"{_model}+{adapter}")).Message;
        Assert.Contains("model.layers.9.self_attn.q_proj", message, StringComparison.Ordinal);
        Assert.Contains("fan_in_fan_out", message, StringComparison.Ordinal);
    }

    private AdapterFiles Linear(string module, float[] a, float[] b) =>
        new AdapterFiles().Add(module + ".lora_A.weight", [2, a.Length / 2], a).Add(module + ".lora_B.weight", [b.Length / 2, 2], b);

    private void AssertAdded(string adapter, string name, double[] delta) =>
        AssertIs(adapter, name, [.. _weights[name].Values().Zip(delta, (weight, added) => weight + added)]);

    private void AssertIs(string adapter, string name, double[] wanted)
    {
        using var fused = ModelInput.Open($"{_model}+{adapter}");
        var tensor = fused.Checkpoint.Get(name);
        var values = fused.Checkpoint.ReadAll(tensor);
        for (var i = 0; i < wanted.Length; i++)
            Assert.True(Math.Abs(values[i] - wanted[i]) <= 1e-6 * (1 + Math.Abs(wanted[i])), $"{name}, element {i}: {values[i]:R}, wanted {wanted[i]:R}");
        var (part, count) = (new float[100], values.Length - 37);
        fused.Checkpoint.Read(tensor, 37, part.AsSpan(0, Math.Min(100, count)), new byte[800]);
        Assert.Equal(values[37..(37 + Math.Min(100, count))], part[..Math.Min(100, count)]);
        foreach (var other in _weights.Keys.Where(other => other != name))
            if (fused.Checkpoint.Get(other).Content is null)
                Assert.Equal(_weights[other].Bytes, LoadedTensor.LoadAll(_model)[other].Bytes);
    }
}
