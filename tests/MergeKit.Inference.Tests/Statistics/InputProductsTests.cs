using MergeKit.Core.Checkpoints;
using MergeKit.Inference.Backends.Cpu;
using MergeKit.Inference.Runtime;
using MergeKit.Inference.Statistics;
using MergeKit.Inference.Tests.Support;

namespace MergeKit.Inference.Tests.Statistics;

/// <summary>What is recorded against what goes in, worked out in double precision for a layer whose attention adds nothing.</summary>
public class InputProductsTests
{
    private const int Hidden = 8, Inner = 12;

    private const string Config = """
        {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2,
         "num_key_value_heads": 1, "vocab_size": 20, "max_position_embeddings": 32, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": false}
        """;

    private static readonly int[] Ids = [3, 1, 4, 1, 5, 9, 2, 6];

    [Fact]
    public void Products_are_those_of_the_inputs()
    {
        var config = ModelConfig.Parse("config.json", Config);
        var weights = new RandomWeights(config);
        weights.Set("model.layers.0.self_attn.o_proj.weight", [Hidden, Hidden], new float[Hidden * Hidden]);
        var (names, embedding) = (new Dictionary<nint, string>(), weights["model.embed_tokens.weight"]);
        var products = new InputProducts(names, null);
        var inputs = Ids.Select(id => embedding.AsSpan(id * Hidden, Hidden).ToArray().Select(value => (double)value).ToArray()).ToArray();
        var attention = inputs.Select(x => Norm(x, weights["model.layers.0.input_layernorm.weight"])).ToArray();
        var mlp = inputs.Select(x => Norm(x, weights["model.layers.0.post_attention_layernorm.weight"])).ToArray();
        var (gate, up) = (weights["model.layers.0.mlp.gate_proj.weight"], weights["model.layers.0.mlp.up_proj.weight"]);
        var inner = mlp.Select(x => Enumerable.Range(0, Inner).Select(i => Silu(Dot(gate, i, x)) * Dot(up, i, x)).ToArray()).ToArray();
        using (var model = LanguageModel.FromSource("m", config, new NamedWeights(weights, names), network => new RecordingBackend(new CpuBackend(network, 2), products)))
        {
            model.Trace([(ReadOnlyMemory<int>)Ids.AsMemory(0, 5)], new TraceOptions(Logits: false));
            var tensors = products.Tensors().ToDictionary(tensor => tensor.Name, tensor => tensor.Values);
            Check(tensors["model.layers.0.self_attn.q_proj.gram"], attention[..5]);
            Check(tensors["model.layers.0.self_attn.v_proj.gram"], attention[..5]);
            Check(tensors["model.layers.0.mlp.up_proj.gram"], mlp[..5]);
            Check(tensors["model.layers.0.mlp.down_proj.gram"], inner[..5]);
            Assert.DoesNotContain("model.embed_tokens.gram", tensors.Keys);
            model.Trace([(ReadOnlyMemory<int>)Ids.AsMemory(5, 3)], new TraceOptions(Logits: false));
            Check(products.Tensors().Single(tensor => tensor.Name == "model.layers.0.mlp.down_proj.gram").Values, inner);
        }
    }

    [Fact]
    public void A_recorded_model_computes_the_same()
    {
        var config = ModelConfig.Parse("config.json", Config);
        var names = new Dictionary<nint, string>();
        using var plain = LanguageModel.FromSource("m", config, new RandomWeights(config), 2);
        using var recorded = LanguageModel.FromSource("m", config, new NamedWeights(new RandomWeights(config), names), network => new RecordingBackend(new CpuBackend(network, 2), new InputProducts(names, null)));
        Assert.Equal(plain.Trace([(ReadOnlyMemory<int>)Ids], new TraceOptions())[0].Logits, recorded.Trace([(ReadOnlyMemory<int>)Ids], new TraceOptions())[0].Logits);
    }

    private static void Check(float[] values, double[][] inputs)
    {
        var size = inputs[0].Length;
        for (var i = 0; i < size; i++)
            for (var j = 0; j < size; j++)
                Assert.Equal(inputs.Average(x => x[i] * x[j]), values[i * size + j], 1e-5);
    }

    private static double[] Norm(double[] x, float[] weight)
    {
        var root = Math.Sqrt(x.Average(value => value * value) + 1e-5);
        return [.. x.Select((value, i) => value / root * weight[i])];
    }

    private static double Dot(float[] matrix, int row, double[] x) => x.Select((value, i) => matrix[row * x.Length + i] * value).Sum();

    private static double Silu(double x) => x / (1 + Math.Exp(-x));
}
