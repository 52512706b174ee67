using System.Text.Json.Nodes;
using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Numerics;
using MergeKit.Inference.Runtime;

namespace MergeKit.Cli.Tests.Moe;

/// <summary>Small dense models of any architecture, and what models give.</summary>
internal static class DenseModel
{
    public const string Llama = """{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "num_key_value_heads": 2, "rms_norm_eps": 1e-5}""";
    public const string Mistral = """{"architectures": ["MistralForCausalLM"], "model_type": "mistral", "num_key_value_heads": 2, "sliding_window": 6}""";
    public const string Qwen2 = """{"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "num_key_value_heads": 2}""";
    public const string Qwen3 = """{"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "num_key_value_heads": 2, "head_dim": 8}""";

    public const string DeepseekV3 = """
        {"architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3", "q_lora_rank": null, "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4,
         "v_head_dim": 8, "first_k_dense_replace": 3, "moe_intermediate_size": 24, "n_routed_experts": 8, "n_shared_experts": 1, "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1}
        """;

    private static readonly int[][] Sequences = [[3, 17, 5, 5, 29, 0, 11, 23, 8, 40], [1, 2, 3]];

    /// <summary>Writes a model of three layers and four heads; its values depend on the seed.</summary>
    public static string Write(string folder, string kind, int seed, DType type = DType.F32, int inner = 24, int hidden = 32)
    {
        var json = JsonNode.Parse(kind)!.AsObject();
        foreach (var (key, value) in new Dictionary<string, JsonNode>
        {
            ["hidden_size"] = hidden,
            ["intermediate_size"] = inner,
            ["num_hidden_layers"] = 3,
            ["num_attention_heads"] = 4,
            ["vocab_size"] = 48,
            ["max_position_embeddings"] = 64,
            ["tie_word_embeddings"] = false,
            ["torch_dtype"] = type.TorchName(),
        })
            json[key] = value;
        if (json["head_dim"] is not null)
            json["head_dim"] = hidden / 4;
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "config.json"), json.ToJsonString());
        var config = ModelConfig.Read(folder);
        SafetensorsFile.Write(Path.Combine(folder, "model.safetensors"), ArchitectureCatalog.Get(config).Weights(config).Select(weight => Filled(weight, type, seed, 16 * MathF.Sqrt(32f / hidden))));
        return folder;
    }

    /// <summary>Logits of two sequences.</summary>
    public static float[] Logits(string folder)
    {
        using var model = LanguageModel.Open(folder, 2);
        Assert.Empty(model.Warnings);
        return [.. model.Trace([.. Sequences.Select(ids => (ReadOnlyMemory<int>)ids)], new TraceOptions()).SelectMany(trace => trace.Logits)];
    }

    /// <summary>The largest difference between two models' logits.</summary>
    public static double Distance(string a, string b) => Logits(a).Zip(Logits(b), (x, y) => Math.Abs((double)x - y)).Max();

    private static LoadedTensor Filled(WeightSpec weight, DType type, int seed, float matrix)
    {
        var tensor = SyntheticModel.Filled(weight.Name, DType.F32, [.. weight.Shape!], seed);
        var scale = weight.Role == TensorRole.Norm ? 8f : weight.Shape!.Count > 1 ? matrix : 2f;
        float[] values = [.. tensor.Values().Select(value => (float)(value * scale) + (weight.Role == TensorRole.Norm ? 1 : 0))];
        var bytes = new byte[values.Length * type.Size()];
        TensorCodec.Encode(type, values, bytes);
        return new LoadedTensor(weight.Name, type, tensor.Shape, bytes);
    }
}
