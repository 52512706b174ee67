using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Numerics;

namespace MergeKit.Benchmarks;

/// <summary>Checkpoints of a known shape and models near it, bfloat16, made at the speed of memory: tensors are stretches of one long row of random numbers.</summary>
internal static class ParentModels
{
    private const int Pattern = 1 << 25, Step = 4096;

    /// <summary>Llama 3.2 1B: 1.236 G parameters, 2.47 GB.</summary>
    public const string Llama1B = """
        {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32,
         "num_key_value_heads": 8, "head_dim": 64, "vocab_size": 128256, "max_position_embeddings": 40960, "rms_norm_eps": 1e-05, "rope_theta": 500000.0, "hidden_act": "silu",
         "tie_word_embeddings": true, "torch_dtype": "bfloat16"}
        """;

    /// <summary>Writes <c>parent-0</c> (the base) and those that differ from it by small noise; returns bytes of one.</summary>
    public static long Write(string folder, string json, int count)
    {
        var config = ModelConfig.Parse("config.json", json);
        var weights = ArchitectureCatalog.Get(config).Weights(config).Where(weight => !weight.Optional).ToList();
        var planned = weights.Select(weight => new PlannedTensor(weight.Name, DType.BF16, weight.Shape!, weight.Shape!.Aggregate(2L, (product, extent) => product * extent))).ToList();
        var shard = ShardLayout.Create(planned, long.MaxValue).Shards[0];
        var origin = Numbers(1, 0.03f);
        Parallel.For(0, count, model =>
        {
            var row = Encoded(origin, model == 0 ? null : Numbers((ulong)model + 1, 0.001f));
            var path = Directory.CreateDirectory(Path.Combine(folder, $"parent-{model}")).FullName;
            File.WriteAllText(Path.Combine(path, "config.json"), json);
            using var file = File.Create(Path.Combine(path, "model.safetensors"), 1 << 20);
            file.Write(shard.Header);
            foreach (var (index, placed) in shard.Tensors.Index())
                Stretch(file, row, index * Step, placed.Tensor.ByteLength);
        });
        return planned.Sum(tensor => tensor.ByteLength);
    }

    private static void Stretch(Stream file, byte[] row, int start, long bytes)
    {
        for (var at = (long)start * 2 % row.Length; bytes > 0; at = 0)
        {
            var take = (int)Math.Min(bytes, row.Length - at);
            file.Write(row, (int)at, take);
            bytes -= take;
        }
    }

    private static byte[] Encoded(float[] origin, float[]? noise)
    {
        var bytes = new byte[2 * Pattern];
        Parallel.For(0, Pattern / Step, part =>
        {
            Span<float> values = stackalloc float[Step];
            for (var i = 0; i < Step; i++)
                values[i] = origin[part * Step + i] + (noise?[part * Step + i] ?? 0);
            TensorCodec.Encode(DType.BF16, values, bytes.AsSpan(part * 2 * Step, 2 * Step));
        });
        return bytes;
    }

    /// <summary>Sums of four uniform numbers: nearly normal.</summary>
    private static float[] Numbers(ulong seed, float scale)
    {
        var values = new float[Pattern];
        Parallel.For(0, Pattern / Step, part =>
        {
            var words = new uint[Step];
            for (var k = 0; k < 4; k++)
            {
                new CounterRandom(seed, "pattern", k).Fill((long)part * Step, words);
                for (var i = 0; i < Step; i++)
                    values[part * Step + i] += (int)words[i] / 2147483648f * scale;
            }
        });
        return values;
    }
}
