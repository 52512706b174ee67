using System.Text.Json.Nodes;
using MergeKit.Core.Conversion;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Inputs;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Tests.Conversion;

/// <summary>Conversions against what they say they do, element by element in double precision.</summary>
public sealed class ModelConversionTests : IDisposable
{
    private readonly TemporaryFolder _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData(4)]
    [InlineData(2)]
    [InlineData(1)]
    public void Heads_are_pooled_by_their_mean(int heads)
    {
        var folder = TrainedModels.Folder("nano", "base-mha");
        var stored = LoadedTensor.LoadAll(folder);
        using var model = ModelConversion.Apply(ModelInput.Open(folder), new ConversionOptions { KeyValueHeads = heads });
        Assert.Equal(heads, model.Config!.GetInt("num_key_value_heads"));
        foreach (var name in new[] { "model.layers.0.self_attn.k_proj.weight", "model.layers.3.self_attn.v_proj.weight" })
        {
            var (tensor, old, group, block) = (model.Checkpoint.Get(name), stored[name].Values(), 4 / heads, 32 * 128);
            Assert.Equal([32L * heads, 128], tensor.Shape);
            var values = model.Checkpoint.ReadAll(tensor);
            for (var i = 0; i < values.Length; i++)
            {
                var mean = Enumerable.Range(0, group).Average(j => old[(i / block * group + j) * block + i % block]);
                Assert.InRange(Math.Abs(values[i] - mean), 0, Math.Abs(mean) * 0.00391 + 1e-7);
            }
        }

        Assert.Equal(stored["model.layers.0.self_attn.q_proj.weight"].Bytes.Length, model.Checkpoint.Get("model.layers.0.self_attn.q_proj.weight").ByteLength);
    }

    [Fact]
    public void Repeated_heads_pool_back_to_the_same_bits()
    {
        var folder = TrainedModels.Folder("nano", "base");
        var stored = LoadedTensor.LoadAll(folder);
        using var wide = ModelConversion.Apply(ModelInput.Open(folder), new ConversionOptions { KeyValueHeads = 4 });
        using var back = ModelConversion.Apply(wide, new ConversionOptions { KeyValueHeads = 2 });
        foreach (var name in stored.Keys)
            Assert.Equal(stored[name].Values().Select(value => (float)value), back.Checkpoint.ReadAll(back.Checkpoint.Get(name)));
    }

    [Theory]
    [InlineData(3)]
    [InlineData(8)]
    public void An_impossible_number_of_heads_is_refused_with_the_possible_ones(int heads) => Assert.Contains("possible: 1, 2, 4",
        Assert.Throws<InputException>(() => ModelConversion.Apply(ModelInput.Open(TrainedModels.Folder("nano", "base-mha")), new ConversionOptions { KeyValueHeads = heads })).Message, StringComparison.Ordinal);

    [Fact]
    public void A_head_is_untied_and_tied_again()
    {
        var folder = TrainedModels.Folder("nano", "base");
        using var untied = ModelConversion.Apply(ModelInput.Open(folder), new ConversionOptions { TieHead = false });
        Assert.Equal(untied.Checkpoint.ReadAll(untied.Checkpoint.Get("model.embed_tokens.weight")), untied.Checkpoint.ReadAll(untied.Checkpoint.Get("lm_head.weight")));
        Assert.False(untied.Config!.GetBool("tie_word_embeddings"));
        using var tied = ModelConversion.Apply(untied, new ConversionOptions { TieHead = true });
        Assert.Null(tied.Checkpoint.Find("lm_head.weight"));
        var synthetic = SyntheticModel.Llama(_scratch.Join("m"), 1);
        Assert.Contains("differ in", Assert.Throws<InputException>(() => ModelConversion.Apply(ModelInput.Open(synthetic), new ConversionOptions { TieHead = true })).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void New_vocabulary_rows_are_the_mean_of_all()
    {
        var folder = SyntheticModel.Llama(_scratch.Join("m"), 1, DType.F32);
        var stored = LoadedTensor.LoadAll(folder)["lm_head.weight"].Values();
        using var padded = ModelConversion.Apply(ModelInput.Open(folder), new ConversionOptions { VocabularyMultiple = 64 });
        var tensor = padded.Checkpoint.Get("lm_head.weight");
        Assert.Equal([192L, 64], tensor.Shape);
        Assert.Equal(192, padded.Config!.GetInt("vocab_size"));
        var values = padded.Checkpoint.ReadAll(tensor);
        Assert.Equal(stored.Select(value => (float)value), values[..stored.Length]);
        for (var i = stored.Length; i < values.Length; i++)
            Assert.Equal(Enumerable.Range(0, 160).Average(row => stored[row * 64 + i % 64]), values[i], 1e-7);
    }

    [Fact]
    public void Missing_tensors_come_from_the_other_model()
    {
        var (whole, part) = (SyntheticModel.Llama(_scratch.Join("whole"), 1), SyntheticModel.Llama(_scratch.Join("part"), 2));
        var tensors = LoadedTensor.LoadAll(part);
        tensors.Remove("model.norm.weight");
        SafetensorsFile.Write(Path.Combine(part, "model.safetensors"), tensors.Values);
        using var filled = ModelConversion.Apply(ModelInput.Open(part), new ConversionOptions { FillFrom = whole });
        Assert.Equal(LoadedTensor.LoadAll(whole)["model.norm.weight"].Values().Select(value => (float)value), filled.Checkpoint.ReadAll(filled.Checkpoint.Get("model.norm.weight")));
        Assert.Equal(tensors["lm_head.weight"].Values().Select(value => (float)value), filled.Checkpoint.ReadAll(filled.Checkpoint.Get("lm_head.weight")));
    }

    [Fact]
    public void Experts_are_packed_and_unpacked_without_a_change_of_bits()
    {
        var folder = Mixtral();
        var stored = LoadedTensor.LoadAll(folder);
        using var packed = ModelConversion.Apply(ModelInput.Open(folder), new ConversionOptions { Experts = ExpertLayout.Packed });
        var gateUp = packed.Checkpoint.ReadAll(packed.Checkpoint.Get("model.layers.0.mlp.experts.gate_up_proj"));
        float[] wanted = [.. Enumerable.Range(0, 2).SelectMany(expert => new[] { "w1", "w3" }.SelectMany(name => stored[$"model.layers.0.block_sparse_moe.experts.{expert}.{name}.weight"].Values())).Select(value => (float)value)];
        Assert.Equal(wanted, gateUp);
        Assert.Equal([2L, 12, 8], packed.Checkpoint.Get("model.layers.0.mlp.experts.gate_up_proj").Shape);
        Assert.NotNull(packed.Checkpoint.Find("model.layers.0.mlp.gate.weight"));
        using var back = ModelConversion.Apply(packed, new ConversionOptions { Experts = ExpertLayout.Separate });
        Assert.Equal(stored.Keys, back.Checkpoint.Tensors.Select(tensor => tensor.Name).Order(StringComparer.Ordinal));
        foreach (var name in stored.Keys)
            Assert.Equal(stored[name].Values().Select(value => (float)value), back.Checkpoint.ReadAll(back.Checkpoint.Get(name)));
    }

    private string Mixtral()
    {
        var folder = _scratch.Join("moe");
        Directory.CreateDirectory(folder);
        const string block = "model.layers.0.block_sparse_moe.";
        List<(string Name, long[] Shape)> tensors =
        [
            ("model.embed_tokens.weight", [16, 8]), ("model.norm.weight", [8]), ("lm_head.weight", [16, 8]), ("model.layers.0.input_layernorm.weight", [8]), ("model.layers.0.post_attention_layernorm.weight", [8]),
            .. new[] { "q", "k", "v", "o" }.Select(name => ($"model.layers.0.self_attn.{name}_proj.weight", new long[] { 8, 8 })), (block + "gate.weight", [2, 8]),
            .. Enumerable.Range(0, 2).SelectMany(expert => new[] { ($"{block}experts.{expert}.w1.weight", new long[] { 6, 8 }), ($"{block}experts.{expert}.w2.weight", [8, 6]), ($"{block}experts.{expert}.w3.weight", [6, 8]) }),
        ];
        SafetensorsFile.Write(Path.Combine(folder, "model.safetensors"), tensors.Select(tensor => SyntheticModel.Filled(tensor.Name, DType.BF16, tensor.Shape, 3)));
        var config = SyntheticModel.LlamaConfig(1, 8, 16, 6);
        (config["architectures"], config["model_type"], config["num_local_experts"], config["num_experts_per_tok"]) = (new JsonArray("MixtralForCausalLM"), "mixtral", 2, 1);
        File.WriteAllText(Path.Combine(folder, "config.json"), config.ToJsonString());
        return folder;
    }
}
