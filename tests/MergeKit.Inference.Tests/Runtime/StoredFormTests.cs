using System.Runtime.InteropServices;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Numerics;
using MergeKit.Inference.Runtime;
using MergeKit.Inference.Tests.Conformance;
using MergeKit.Inference.Tests.Support;

namespace MergeKit.Inference.Tests.Runtime;

/// <summary>The same network stored in other forms: element types, packed experts, names without a prefix.</summary>
public class StoredFormTests
{
    private static readonly int[] Ids = [3, 17, 5, 5, 29, 0, 11, 23];

    private const string Mixtral = """
        {"architectures": ["MixtralForCausalLM"], "model_type": "mixtral", "hidden_size": 16, "intermediate_size": 12, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 31, "max_position_embeddings": 64, "num_local_experts": 5,
         "num_experts_per_tok": 2, "tie_word_embeddings": false}
        """;

    private const string Gpt2 = """
        {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "n_embd": 16, "n_head": 4, "n_layer": 2, "n_positions": 32, "vocab_size": 31}
        """;

    private static float[] Logits(string json, Action<RandomWeights>? change = null)
    {
        var config = ModelConfig.Parse("config.json", json);
        var weights = new RandomWeights(config, 11);
        change?.Invoke(weights);
        using var model = LanguageModel.FromSource("model", config, weights, 2);
        Assert.Empty(model.Warnings);
        return model.Trace([Ids], new TraceOptions())[0].Logits;
    }

    [Theory]
    [InlineData(DType.F64)]
    [InlineData(DType.BF16)]
    [InlineData(DType.F16)]
    [InlineData(DType.F8E5M2)]
    [InlineData(DType.F8E4M3)]
    public void Every_floating_point_type_is_used_as_stored(DType type)
    {
        foreach (var json in new[] { Mixtral, Gpt2 })
        {
            var rounded = Logits(json, weights => Convert(weights, type, stored: false));
            Close.Equal(rounded, Logits(json, weights => Convert(weights, type, stored: true)), 1e-5, type.ToString());
        }
    }

    [Fact]
    public void Packed_experts_equal_separate_ones() => Close.Equal(Logits(Mixtral), Logits(Mixtral, weights =>
    {
        for (var layer = 0; layer < 2; layer++)
        {
            var (old, prefix) = ($"model.layers.{layer}.block_sparse_moe.", $"model.layers.{layer}.mlp.");
            weights.Set(prefix + "gate.weight", [5, 16], weights[old + "gate.weight"]);
            weights.Set(prefix + "experts.gate_up_proj", [5, 24, 16], [.. Enumerable.Range(0, 5).SelectMany(e =>
                weights[$"{old}experts.{e}.w1.weight"].Concat(weights[$"{old}experts.{e}.w3.weight"]))]);
            weights.Set(prefix + "experts.down_proj", [5, 16, 12], [.. Enumerable.Range(0, 5).SelectMany(e => weights[$"{old}experts.{e}.w2.weight"])]);
            foreach (var name in weights.Names.Where(name => name.StartsWith(old, StringComparison.Ordinal)).ToList())
                weights.Remove(name);
        }
    }), 1e-6, "packed experts");

    [Fact]
    public void Names_without_their_prefix_are_found() => Close.Equal(Logits(Gpt2), Logits(Gpt2, weights =>
    {
        foreach (var name in weights.Names.Where(name => name.StartsWith("transformer.", StringComparison.Ordinal)).ToList())
        {
            weights.Set(name["transformer.".Length..], weights.Shape(name), weights[name]);
            weights.Remove(name);
        }
    }), 0, "names without prefix");

    /// <summary>Rounds every tensor to a type; keeps the rounded values as float32, or stores them in the type.</summary>
    private static void Convert(RandomWeights weights, DType type, bool stored)
    {
        foreach (var name in weights.Names.ToList())
        {
            var values = Array.ConvertAll(weights[name], value => Round(value, type));
            if (stored)
                weights.SetBytes(name, weights.Shape(name), [.. values.SelectMany(value => Bytes(value, type))], type);
            else
                weights.Set(name, weights.Shape(name), values);
        }
    }

    /// <summary>Keeps as many leading mantissa bits as the type has, within a range where it has no subnormal or overflowing values.</summary>
    private static float Round(float value, DType type)
    {
        var bits = type switch { DType.BF16 => 7, DType.F16 => 10, DType.F8E5M2 => 2, DType.F8E4M3 => 3, _ => 23 };
        var kept = BitConverter.Int32BitsToSingle(BitConverter.SingleToInt32Bits(value) & (-1 << (23 - bits)));
        return type is DType.F16 or DType.F8E5M2 or DType.F8E4M3 && MathF.Abs(kept) < 0.02f ? 0 : kept;
    }

    private static byte[] Bytes(float value, DType type)
    {
        var bits = BitConverter.SingleToInt32Bits(value);
        var (sign, exponent, mantissa) = ((bits >> 31) & 1, ((bits >> 23) & 255) - 127, bits & 0x7FFFFF);
        return type switch
        {
            DType.F64 => BitConverter.GetBytes((double)value),
            DType.BF16 => BitConverter.GetBytes((ushort)(bits >> 16)),
            DType.F16 => BitConverter.GetBytes((Half)value),
            DType.F8E5M2 => [(byte)(value == 0 ? 0 : (sign << 7) | ((exponent + 15) << 2) | (mantissa >> 21))],
            DType.F8E4M3 => [(byte)(value == 0 ? 0 : (sign << 7) | ((exponent + 7) << 3) | (mantissa >> 20))],
            _ => MemoryMarshal.AsBytes([value]).ToArray(),
        };
    }
}
