using MergeKit.Core.Checkpoints;
using MergeKit.Core.Numerics;

namespace MergeKit.Benchmarks;

/// <summary>Writes Llama-shaped bfloat16 checkpoints of any size with random weights: a base, and fine-tunes that differ by small noise.</summary>
internal sealed record SyntheticLlama(int Hidden, int Intermediate, int Layers, int Heads, int KvHeads, int Vocabulary)
{
    /// <summary>501 M parameters, 1.0 GB.</summary>
    public static SyntheticLlama OneGigabyte { get; } = new(1536, 4096, 16, 24, 8, 32000);

    /// <summary>Ten times as many.</summary>
    public static SyntheticLlama TenGigabytes { get; } = OneGigabyte with { Layers = 195 };

    public string Config => $$"""
        {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": {{Hidden}}, "intermediate_size": {{Intermediate}},
         "num_hidden_layers": {{Layers}}, "num_attention_heads": {{Heads}}, "num_key_value_heads": {{KvHeads}}, "vocab_size": {{Vocabulary}},
         "hidden_act": "silu", "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "max_position_embeddings": 2048, "tie_word_embeddings": false, "torch_dtype": "bfloat16"}
        """;

    /// <summary>Writes one checkpoint of about four shards. <paramref name="noise"/> 0 makes the base; a sparse one has headers and holes only.</summary>
    public void Write(string folder, int model, float noise, bool sparse = false, int shards = 4)
    {
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "config.json"), Config);
        var tensors = Tensors().Select(t => new PlannedTensor(t.Name, DType.BF16, t.Shape, t.Shape.Aggregate(2L, (a, b) => a * b))).ToList();
        var layout = ShardLayout.Create(tensors, tensors.Sum(t => t.ByteLength) / shards + 40_000_000);
        foreach (var shard in layout.Shards)
        {
            using var file = File.Create(Path.Combine(folder, shard.FileName), 1 << 20);
            file.Write(shard.Header);
            file.SetLength(shard.Length);
            foreach (var placed in sparse ? [] : shard.Tensors)
                WriteTensor(file, placed.Tensor, model, noise);
        }

        if (layout.IndexJson is { } index)
            File.WriteAllText(Path.Combine(folder, ShardLayout.IndexFileName), index);
    }

    private static void WriteTensor(Stream file, PlannedTensor tensor, int model, float noise)
    {
        const int step = 1 << 18;
        var (values, words, bytes) = (new float[step], new uint[step], new byte[2 * step]);
        var (shared, own) = (new CounterRandom(1, tensor.Name, 0), new CounterRandom(2, tensor.Name, model));
        for (var at = 0L; at < tensor.ByteLength / 2; at += step)
        {
            var count = (int)Math.Min(step, tensor.ByteLength / 2 - at);
            shared.Fill(at, words.AsSpan(0, count));
            for (var i = 0; i < count; i++)
                values[i] = ((int)words[i] / 2147483648f) * 0.05f;
            if (noise > 0)
            {
                own.Fill(at, words.AsSpan(0, count));
                for (var i = 0; i < count; i++)
                    values[i] += ((int)words[i] / 2147483648f) * noise;
            }

            TensorCodec.Encode(DType.BF16, values.AsSpan(0, count), bytes.AsSpan(0, 2 * count));
            file.Write(bytes, 0, 2 * count);
        }
    }

    private IEnumerable<(string Name, long[] Shape)> Tensors()
    {
        var kv = (long)Hidden / Heads * KvHeads;
        yield return ("model.embed_tokens.weight", [Vocabulary, Hidden]);
        for (var layer = 0; layer < Layers; layer++)
        {
            var p = $"model.layers.{layer}.";
            yield return (p + "input_layernorm.weight", [Hidden]);
            yield return (p + "self_attn.q_proj.weight", [Hidden, Hidden]);
            yield return (p + "self_attn.k_proj.weight", [kv, Hidden]);
            yield return (p + "self_attn.v_proj.weight", [kv, Hidden]);
            yield return (p + "self_attn.o_proj.weight", [Hidden, Hidden]);
            yield return (p + "post_attention_layernorm.weight", [Hidden]);
            yield return (p + "mlp.gate_proj.weight", [Intermediate, Hidden]);
            yield return (p + "mlp.up_proj.weight", [Intermediate, Hidden]);
            yield return (p + "mlp.down_proj.weight", [Hidden, Intermediate]);
        }

        yield return ("model.norm.weight", [Hidden]);
        yield return ("lm_head.weight", [Vocabulary, Hidden]);
    }
}
