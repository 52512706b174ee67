using System.Text;
using System.Text.Json.Nodes;
using MergeKit.Core.Numerics;

namespace MergeKit.Tests.Support;

/// <summary>Checkpoints that tests make up: a Llama of any size with reproducible values, or any tensors under a configuration of no known architecture.</summary>
public static class SyntheticModel
{
    /// <summary>A Llama-shaped model folder in one file.</summary>
    public static string Llama(string folder, int seed, DType type = DType.BF16, int layers = 2, int hidden = 64, int vocabulary = 160, int inner = 96)
    {
        var tensors = LlamaShapes(layers, hidden, vocabulary, inner).Select(tensor => Filled(tensor.Name, type, tensor.Shape, seed));
        Directory.CreateDirectory(folder);
        SafetensorsFile.Write(Path.Combine(folder, "model.safetensors"), tensors);
        File.WriteAllText(Path.Combine(folder, "config.json"), LlamaConfig(layers, hidden, vocabulary, inner).ToJsonString());
        return folder;
    }

    /// <summary>A model folder with these tensors, whose architecture nobody knows.</summary>
    public static string Unknown(string folder, params IEnumerable<LoadedTensor> tensors)
    {
        Directory.CreateDirectory(folder);
        SafetensorsFile.Write(Path.Combine(folder, "model.safetensors"), tensors);
        File.WriteAllText(Path.Combine(folder, "config.json"), """{"architectures": ["SyntheticForTests"], "model_type": "synthetic"}""");
        return folder;
    }

    /// <summary>A tensor of small values that depend on its name and the seed.</summary>
    public static LoadedTensor Filled(string name, DType type, long[] shape, int seed)
    {
        var words = new uint[shape.Aggregate(1L, (product, extent) => product * extent)];
        new CounterRandom((ulong)seed, name, 0).Fill(0, words);
        var values = Array.ConvertAll(words, word => (int)word * (1f / (1L << 36)));
        var bytes = new byte[values.Length * type.Size()];
        TensorCodec.Encode(type, values, bytes);
        return new LoadedTensor(name, type, shape, bytes);
    }

    /// <summary>Names and shapes of a Llama's tensors.</summary>
    public static IEnumerable<(string Name, long[] Shape)> LlamaShapes(int layers, long hidden, long vocabulary, long inner)
    {
        yield return ("model.embed_tokens.weight", [vocabulary, hidden]);
        for (var layer = 0; layer < layers; layer++)
        {
            var prefix = $"model.layers.{layer}.";
            yield return (prefix + "input_layernorm.weight", [hidden]);
            foreach (var name in new[] { "q", "k", "v", "o" })
                yield return ($"{prefix}self_attn.{name}_proj.weight", [hidden, hidden]);
            yield return (prefix + "post_attention_layernorm.weight", [hidden]);
            yield return (prefix + "mlp.gate_proj.weight", [inner, hidden]);
            yield return (prefix + "mlp.up_proj.weight", [inner, hidden]);
            yield return (prefix + "mlp.down_proj.weight", [hidden, inner]);
        }

        yield return ("model.norm.weight", [hidden]);
        yield return ("lm_head.weight", [vocabulary, hidden]);
    }

    /// <summary>The configuration that goes with <see cref="LlamaShapes"/>.</summary>
    public static JsonObject LlamaConfig(int layers, int hidden, int vocabulary, int inner) => new()
    {
        ["architectures"] = new JsonArray("LlamaForCausalLM"),
        ["model_type"] = "llama",
        ["hidden_size"] = hidden,
        ["intermediate_size"] = inner,
        ["num_hidden_layers"] = layers,
        ["num_attention_heads"] = 4,
        ["num_key_value_heads"] = 4,
        ["vocab_size"] = vocabulary,
        ["max_position_embeddings"] = 128,
        ["rms_norm_eps"] = 1e-5,
        ["hidden_act"] = "silu",
        ["rope_theta"] = 10000.0,
        ["tie_word_embeddings"] = false,
    };

    /// <summary>A Llama-shaped folder whose headers are real and whose data take no space: shards made long without being written.</summary>
    public static string SparseLlama(string folder, int layers, int hidden, int vocabulary, int inner, int shards)
    {
        Directory.CreateDirectory(folder);
        var tensors = LlamaShapes(layers, hidden, vocabulary, inner).ToList();
        var map = new JsonObject();
        var size = (tensors.Count + shards - 1) / shards;
        foreach (var (part, at) in tensors.Chunk(size).Select((part, at) => (part, at)))
        {
            var name = $"model-{at + 1:D5}-of-{shards:D5}.safetensors";
            SparseFile(Path.Combine(folder, name), DType.BF16, part);
            foreach (var tensor in part)
                map[tensor.Name] = name;
        }

        File.WriteAllText(Path.Combine(folder, "model.safetensors.index.json"), new JsonObject { ["weight_map"] = map }.ToJsonString());
        var config = LlamaConfig(layers, hidden, vocabulary, inner);
        File.WriteAllText(Path.Combine(folder, "config.json"), config.ToJsonString());
        return folder;
    }

    /// <summary>A safetensors file with a real header and no data on the disk (all zeros).</summary>
    public static void SparseFile(string path, DType type, params IEnumerable<(string Name, long[] Shape)> tensors)
    {
        var (header, offset) = (new JsonObject(), 0L);
        foreach (var (name, shape) in tensors)
        {
            var end = offset + shape.Aggregate((long)type.Size(), (product, extent) => checked(product * extent));
            header[name] = new JsonObject
            {
                ["dtype"] = type.SafetensorsName(),
                ["shape"] = new JsonArray([.. shape.Select(extent => (JsonNode)extent)]),
                ["data_offsets"] = new JsonArray(offset, end),
            };
            offset = end;
        }

        var json = Encoding.UTF8.GetBytes(header.ToJsonString());
        using var stream = File.Create(path);
        stream.Write(BitConverter.GetBytes((ulong)json.Length));
        stream.Write(json);
        stream.SetLength(8 + json.Length + offset);
    }
}
