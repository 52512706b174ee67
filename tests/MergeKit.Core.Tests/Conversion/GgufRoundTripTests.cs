using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Checkpoints.Gguf;
using MergeKit.Core.Conversion.Gguf;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Inputs;

namespace MergeKit.Core.Tests.Conversion;

/// <summary>Small models of every family, drawn at random from the engine suite's configurations, written to GGUF and read again: the same tensors, and a
/// configuration that describes the same network.</summary>
public sealed class GgufRoundTripTests : IDisposable
{
    private readonly TemporaryFolder _scratch = new();

    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    private const string LatentYarn = """{"rope_scaling": {"type": "yarn", "factor": 4, "original_max_position_embeddings": 16, "mscale": 0.707, "mscale_all_dim": 0.707}}""";

    /// <summary>A case of the suite, and what of its configuration is changed so that llama.cpp could follow it.</summary>
    public static TheoryData<string, string> Models => new()
    {
        { "llama_gqa_tied", "{}" }, { "llama_mha", "{}" }, { "llama_mqa_bias", "{}" }, { "llama_rope_linear", "{}" }, { "mistral_swa", "{}" }, { "mixtral", """{"head_dim": 16}""" },
        { "smollm3", """{"no_rope_layer_interval": 4, "no_rope_layers": [1, 1, 1, 0]}""" }, { "qwen2", "{}" }, { "qwen2_yarn", "{}" }, { "qwen3", "{}" },
        { "qwen2_moe", """{"mlp_only_layers": []}""" }, { "qwen3_moe", "{}" }, { "gemma", "{}" }, { "gemma2", """{"query_pre_attn_scalar": 32}""" },
        { "gemma3_text", """{"query_pre_attn_scalar": 32, "sliding_window_pattern": 6, "num_hidden_layers": 7}""" }, { "phi", "{}" }, { "phi3", "{}" }, { "phi3_longrope", "{}" },
        { "gpt2", "{}" }, { "stablelm", "{}" }, { "stablelm", """{"qk_layernorm": true, "use_parallel_residual": true}""" }, { "starcoder2", "{}" }, { "falcon_7b", "{}" },
        { "falcon_40b", "{}" }, { "cohere", "{}" }, { "cohere", """{"use_qk_norm": true, "num_hidden_layers": 64}""" }, { "deepseek_v3", LatentYarn },
        { "deepseek_v2", """{"topk_method": "greedy", "rope_scaling": null}""" }, { "deepseek_v2", """{"q_lora_rank": null, "num_hidden_layers": 27, "topk_method": "greedy", "rope_scaling": null}""" },
        { "gpt_neox", "{}" }, { "gpt_neox", """{"use_parallel_residual": false}""" }, { "gpt_oss", """{"rope_scaling": {"rope_type": "yarn", "factor": 32, "original_max_position_embeddings": 16, "beta_fast": 32, "beta_slow": 1, "truncate": false}}""" },
        { "llama_mha", """{"architectures": ["Olmo2ForCausalLM"], "model_type": "olmo2"}""" },
    };

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [MemberData(nameof(Models))]
    public void A_model_written_and_read_again_is_the_same(string name, string changes)
    {
        var original = Make(name, changes);
        var path = _scratch.Join("out", "model.gguf");
        Directory.CreateDirectory(_scratch.Join("out"));
        using var model = ModelInput.Open(original);
        var notes = GgufExport.Write(path, model.Config!, model.Checkpoint, model.Folder, GgufOutput.F32, TestContext.Current.CancellationToken);
        Assert.All(notes, note => Assert.Matches("no tokenizer.json|window of|chooses among all|YaRN's ramp", note.Message));
        using var read = ModelInput.Open(path);
        foreach (var tensor in model.Checkpoint.Tensors)
            Compare(model.Checkpoint, tensor, read.Checkpoint);
        var extra = read.Checkpoint.Tensors.Select(tensor => tensor.Name).Except(model.Checkpoint.Tensors.Select(tensor => tensor.Name));
        Assert.All(extra, tensor => Assert.EndsWith("lm_head.weight", tensor, StringComparison.Ordinal));
        Assert.Equal(Facts(model.Config!), Facts(read.Config!));
    }

    [Theory]
    [InlineData("gemma2", "{}", "attention scores")]
    [InlineData("gemma3_text", """{"query_pre_attn_scalar": 32}""", "every 6th layer")]
    [InlineData("qwen2_moe", "{}", "without experts among those with")]
    [InlineData("smollm3", "{}", "every fourth layer")]
    [InlineData("qwen3_moe", """{"norm_topk_prob": false}""", "not normalised")]
    [InlineData("falcon_alibi", "{}", "rotary positions")]
    [InlineData("llama_rope_dynamic", "{}", "'dynamic'")]
    [InlineData("deepseek_v2", "{}", "sine and cosine")]
    [InlineData("deepseek_v3", "{}", "rotations")]
    [InlineData("cohere", """{"use_qk_norm": true}""", "norms of queries and keys")]
    [InlineData("deepseek_v2", """{"q_lora_rank": null, "rope_scaling": null}""", "without a latent")]
    [InlineData("gpt_oss", "{}", "ramp is from 2 to 0.25")]
    [InlineData("gpt_oss", """{"swiglu_limit": 5.0}""", "clamps gates and ups")]
    [InlineData("gpt_oss", """{"layer_types": ["full_attention", "sliding_attention"]}""", "every 2th layer")]
    [InlineData("gpt_neox", """{"attention_bias": false}""", "biases in attention")]
    [InlineData("llama_mha", """{"hidden_act": "gelu"}""", "activation is Gelu")]
    public void What_llama_cpp_cannot_follow_is_refused_and_nothing_is_written(string name, string changes, string seen)
    {
        using var model = ModelInput.Open(Make(name, changes));
        var error = Assert.Throws<InputException>(() => GgufExport.Write(_scratch.Join("x.gguf"), model.Config!, model.Checkpoint, model.Folder, GgufOutput.F32, TestContext.Current.CancellationToken));
        Assert.Contains(seen, error.Message, StringComparison.Ordinal);
        Assert.False(File.Exists(_scratch.Join("x.gguf")));
    }

    [Fact]
    public void Frequencies_of_llama_3_come_back_as_divisors()
    {
        using var model = ModelInput.Open(Make("llama_rope_llama3", "{}"));
        GgufExport.Write(_scratch.Join("x.gguf"), model.Config!, model.Checkpoint, model.Folder, GgufOutput.F32, TestContext.Current.CancellationToken);
        var (wanted, seen) = (Rope(model.Config!), Rope(ModelConfig.Read(_scratch.Join("x.gguf"))));
        Assert.Equal(1, seen.AttentionFactor);
        Assert.All(wanted.Frequencies(100).Zip(seen.Frequencies(100)), pair => Assert.Equal(pair.First, pair.Second, 1e-6 * pair.First));

        static RopeSpec Rope(ModelConfig config) => ArchitectureCatalog.Get(config).Network(config).Layers[0].Attention.Rope!;
    }

    [Fact]
    public void Latent_keys_and_values_that_stand_apart_become_one_matrix()
    {
        var (keys, values) = (new float[2 * 3 * 4], new float[2 * 5 * 3]); // heads 2, rank 3, key width 4, value width 5
        for (var i = 0; i < keys.Length; i++)
            keys[i] = i;
        for (var i = 0; i < values.Length; i++)
            values[i] = 100 + i;
        var path = _scratch.Join("x.gguf");
        Checkpoints.Gguf.GgufText.Write(path, "deepseek2", [("blk.0.attn_k_b.weight", GgufType.F32, [2, 3, 4], Bytes(keys)), ("blk.0.attn_v_b.weight", GgufType.F32, [2, 5, 3], Bytes(values))]);
        using var checkpoint = Checkpoint.Open(path);
        var tensor = checkpoint.Get("model.layers.0.self_attn.kv_b_proj.weight");
        Assert.Equal([18, 3], tensor.Shape);
        var matrix = checkpoint.ReadAll(tensor);
        for (var head = 0; head < 2; head++)
            for (var row = 0; row < 9; row++)
                for (var column = 0; column < 3; column++)
                    Assert.Equal(row < 4 ? keys[(head * 3 + column) * 4 + row] : values[(head * 5 + row - 4) * 3 + column], matrix[(head * 9 + row) * 3 + column]);

        static byte[] Bytes(float[] numbers) => [.. numbers.SelectMany(BitConverter.GetBytes)];
    }

    private static void Compare(Checkpoint model, TensorInfo tensor, Checkpoint read)
    {
        var (wanted, found) = (model.ReadAll(tensor), read.Get(tensor.Name));
        Assert.Equal(tensor.Shape, found.Shape);
        var seen = read.ReadAll(found);
        for (var i = 0; i < wanted.Length; i++)
            Assert.True(Math.Abs(wanted[i] - seen[i]) <= (found.Content?.Form == "shifted" ? 1.2e-7 : 0), $"{tensor.Name}, element {i}: {seen[i]}, wanted {wanted[i]}");
    }

    /// <summary>The network as text, numbers to float32's precision, and without saying whether the head is a copy.</summary>
    private static string Facts(ModelConfig config)
    {
        var network = ArchitectureCatalog.Get(config).Network(config);
        var text = JsonSerializer.Serialize(network with { Head = network.Head with { Tied = false } }, Indented);
        return Regex.Replace(text, @"\d+\.\d{7,}", number => float.Parse(number.Value, CultureInfo.InvariantCulture).ToString("R", CultureInfo.InvariantCulture));
    }

    private string Make(string name, string changes)
    {
        var json = (JsonObject)JsonNode.Parse(File.ReadAllText(Path.Combine(EngineSuite.Folder(name), "config.json")))!;
        foreach (var (key, value) in (JsonObject)JsonNode.Parse(changes)!)
            json[key] = value?.DeepClone();
        var config = ModelConfig.Of("config.json", json);
        var dice = new SplitMix(5);
        var network = ArchitectureCatalog.Get(config).Network(config);
        var tensors = ArchitectureCatalog.Get(config).Weights(config).Where(weight => !weight.Optional || (weight.Role == TensorRole.Head && !network.Head.Tied))
            .Select(weight => LoadedTensor.Float32(weight.Name, [.. weight.Shape!], dice.Array(weight.Shape!.Aggregate(1L, (product, extent) => product * extent)))).ToArray();
        Directory.CreateDirectory(_scratch.Join("in"));
        SafetensorsFile.Write(_scratch.Join("in", "model.safetensors"), tensors);
        File.WriteAllText(_scratch.Join("in", "config.json"), json.ToJsonString());
        return _scratch.Join("in");
    }
}
