using MergeKit.Core.Checkpoints;
using MergeKit.Inference.Runtime;
using MergeKit.Inference.Tests.Conformance;
using MergeKit.Inference.Tests.Support;

namespace MergeKit.Inference.Tests.Runtime;

/// <summary>Architectures and options that the engine suite has no checkpoint of, against forward passes spelled out by hand.</summary>
public class ArchitectureVariantTests
{
    private const double Tolerance = 1e-4;
    private const int Hidden = 16, Heads = 4, Width = 4;
    private static readonly int[] Ids = [3, 17, 5, 5, 29, 0, 11, 23];

    private const string Common = """
        "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 31, "max_position_embeddings": 64,
        "tie_word_embeddings": false
        """;

    private static void Check(string json, Func<Naive, double[][]> expected, Action<RandomWeights>? change = null)
    {
        var config = ModelConfig.Parse("config.json", json);
        var weights = new RandomWeights(config, 5);
        change?.Invoke(weights);
        var wanted = Naive.Flat(expected(new Naive(weights)));
        using var model = LanguageModel.FromSource("model", config, weights, 2);
        Assert.Empty(model.Warnings);
        Close.Equal(wanted, model.Trace([Ids], new TraceOptions())[0].Logits, Tolerance, json);
    }

    private static double[][] Layers(double[][] h, Func<string, double[][], double[][]> layer) =>
        Enumerable.Range(0, 2).Aggregate(h, (x, index) => layer($"model.layers.{index}.", x));

    [Fact]
    public void Olmo2_norms_follow_the_sublayers_and_span_all_queries_and_keys() => Check(
        $$"""{"architectures": ["Olmo2ForCausalLM"], "model_type": "olmo2", "num_key_value_heads": 2, "rms_norm_eps": 1e-3, {{Common}} }""",
        n =>
        {
            var h = Layers(n.Embed("model.embed_tokens.weight", Ids, Hidden), (p, x) =>
            {
                var q = Naive.Rotate(n.Rms(p + "self_attn.q_norm", n.Linear(p + "self_attn.q_proj", x), 1e-3), Width, Width, 10000);
                var k = Naive.Rotate(n.Rms(p + "self_attn.k_norm", n.Linear(p + "self_attn.k_proj", x), 1e-3), Width, Width, 10000);
                var a = Naive.Attend(q, k, n.Linear(p + "self_attn.v_proj", x), Heads, 2, Width, Width, 0.5);
                x = Naive.Add(x, n.Rms(p + "post_attention_layernorm", n.Linear(p + "self_attn.o_proj", a), 1e-3));
                return Naive.Add(x, n.Rms(p + "post_feedforward_layernorm", n.Gated(p + "mlp.", x), 1e-3));
            });
            return n.Linear("lm_head", n.Rms("model.norm", h, 1e-3));
        });

    [Fact]
    public void Cohere_norms_each_head_with_weights_of_its_own() => Check(
        $$"""{"architectures": ["CohereForCausalLM"], "model_type": "cohere", "num_key_value_heads": 2, "use_qk_norm": true, "logit_scale": 0.5, {{Common}} }""",
        n =>
        {
            var h = Layers(n.Embed("model.embed_tokens.weight", Ids, Hidden), (p, x) =>
            {
                var input = n.Layer(p + "input_layernorm", x, 1e-5);
                var a = Naive.Attend(Normed("q"), Normed("k"), n.Linear(p + "self_attn.v_proj", input), Heads, 2, Width, Width, 0.5);
                return Naive.Add(x, n.Linear(p + "self_attn.o_proj", a), n.Gated(p + "mlp.", input));

                double[][] Normed(string which)
                {
                    var weight = n.Weight($"{p}self_attn.{which}_norm.weight");
                    var heads = Naive.Heads(n.Linear($"{p}self_attn.{which}_proj", input), Width, (head, row) =>
                        Naive.LayerRow(row, weight.AsSpan(head * Width, Width).ToArray(), null, 1e-5));
                    return Naive.Rotate(heads, Width, Width, 10000, interleaved: true);
                }
            });
            return Naive.Map(n.Linear("lm_head", n.Layer("model.norm", h, 1e-5)), row => [.. row.Select(value => value * 0.5)]);
        });

    [Fact]
    public void StableLm_can_be_parallel_and_norm_each_head() => Check(
        $$"""
        {"architectures": ["StableLmForCausalLM"], "model_type": "stablelm", "num_key_value_heads": 2, "use_parallel_residual": true, "qk_layernorm": true,
         "partial_rotary_factor": 0.5, "rope_theta": 500, {{Common}} }
        """,
        n =>
        {
            var h = Layers(n.Embed("model.embed_tokens.weight", Ids, Hidden), (p, x) =>
            {
                var input = n.Layer(p + "input_layernorm", x, 1e-5);
                var a = Naive.Attend(Normed("q"), Normed("k"), n.Linear(p + "self_attn.v_proj", input), Heads, 2, Width, Width, 0.5);
                return Naive.Add(x, n.Linear(p + "self_attn.o_proj", a), n.Gated(p + "mlp.", input));

                double[][] Normed(string which) => Naive.Rotate(
                    Naive.Heads(n.Linear($"{p}self_attn.{which}_proj", input), Width, (head, row) =>
                        Naive.LayerRow(row, n.Weight($"{p}self_attn.{which}_layernorm.norms.{head}.weight"), null, 1e-5)), Width, 2, 500);
            });
            return n.Linear("lm_head", n.Layer("model.norm", h, 1e-5));
        });

    [Fact]
    public void Phi_can_norm_queries_and_keys() => Check(
        $$"""{"architectures": ["PhiForCausalLM"], "model_type": "phi", "qk_layernorm": true, "partial_rotary_factor": 0.5, {{Common}} }""",
        n =>
        {
            var h = Layers(n.Embed("model.embed_tokens.weight", Ids, Hidden), (p, x) =>
            {
                var input = n.Layer(p + "input_layernorm", x, 1e-5);
                var a = Naive.Attend(Normed("q"), Normed("k"), n.Linear(p + "self_attn.v_proj", input), Heads, Heads, Width, Width, 0.5);
                var up = Naive.Map(n.Linear(p + "mlp.fc1", input), row => [.. row.Select(Naive.GeluTanh)]);
                return Naive.Add(x, n.Linear(p + "self_attn.dense", a), n.Linear(p + "mlp.fc2", up));

                double[][] Normed(string which) => Naive.Rotate(
                    Naive.Heads(n.Linear($"{p}self_attn.{which}_proj", input), Width, (_, row) => Naive.LayerRow(
                        row, n.Weight($"{p}self_attn.{which}_layernorm.weight"), n.Weight($"{p}self_attn.{which}_layernorm.bias"), 1e-5)), Width, 2, 10000);
            });
            return n.Linear("lm_head", n.Layer("model.final_layernorm", h, 1e-5));
        });

    [Fact]
    public void Qwen2_windows_start_at_a_layer() => Check(
        $$"""
        {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "num_key_value_heads": 2, "use_sliding_window": true, "sliding_window": 3,
         "max_window_layers": 1, {{Common}} }
        """,
        n =>
        {
            var h = Layers(n.Embed("model.embed_tokens.weight", Ids, Hidden), (p, x) =>
            {
                var input = n.Rms(p + "input_layernorm", x, 1e-6);
                var (q, k) = (Rotated("q"), Rotated("k"));
                var window = p.Contains(".1.", StringComparison.Ordinal) ? 3 : int.MaxValue;
                var a = Naive.Attend(q, k, n.Linear(p + "self_attn.v_proj", input), Heads, 2, Width, Width, 0.5, window: window);
                x = Naive.Add(x, n.Linear(p + "self_attn.o_proj", a));
                return Naive.Add(x, n.Gated(p + "mlp.", n.Rms(p + "post_attention_layernorm", x, 1e-6)));

                double[][] Rotated(string which) => Naive.Rotate(n.Linear($"{p}self_attn.{which}_proj", input), Width, Width, 10000);
            });
            return n.Linear("lm_head", n.Rms("model.norm", h, 1e-6));
        });

    [Fact]
    public void GptNeoX_can_be_sequential()
    {
        Check(
            $$"""{"architectures": ["GPTNeoXForCausalLM"], "model_type": "gpt_neox", "use_parallel_residual": false, "rotary_pct": 0.5, "rotary_emb_base": 100, {{Common}} }""",
            n =>
            {
                var h = n.Embed("gpt_neox.embed_in.weight", Ids, Hidden);
                for (var layer = 0; layer < 2; layer++)
                {
                    var p = $"gpt_neox.layers.{layer}.";
                    var qkv = n.Linear(p + "attention.query_key_value", n.Layer(p + "input_layernorm", h, 1e-5));
                    var (q, k) = (Naive.Rotate(Part(qkv, 0), Width, 2, 100), Naive.Rotate(Part(qkv, 1), Width, 2, 100));
                    h = Naive.Add(h, n.Linear(p + "attention.dense", Naive.Attend(q, k, Part(qkv, 2), Heads, Heads, Width, Width, 0.5)));
                    var up = n.Linear(p + "mlp.dense_h_to_4h", n.Layer(p + "post_attention_layernorm", h, 1e-5));
                    h = Naive.Add(h, n.Linear(p + "mlp.dense_4h_to_h", Naive.Map(up, row => [.. row.Select(Naive.Gelu)])));
                }

                return n.Linear("embed_out", n.Layer("gpt_neox.final_layer_norm", h, 1e-5));
            });

        static double[][] Part(double[][] qkv, int part) =>
            Naive.Map(qkv, row => [.. row.Chunk(3 * Width).SelectMany(head => head.Skip(part * Width).Take(Width))]);
    }

    [Fact]
    public void Falcon_can_share_one_norm_in_the_new_decoder()
    {
        Check(
            $$"""
            {"architectures": ["FalconForCausalLM"], "model_type": "falcon", "new_decoder_architecture": true, "num_kv_heads": 2, "num_ln_in_parallel_attn": 1,
             "multi_query": false, "parallel_attn": true, "bias": false, "alibi": false, "ffn_hidden_size": 20,
             {{Common.Replace("\"intermediate_size\": 24, ", "", StringComparison.Ordinal)}} }
            """,
            n =>
            {
                var h = n.Embed("transformer.word_embeddings.weight", Ids, Hidden);
                for (var layer = 0; layer < 2; layer++)
                {
                    var p = $"transformer.h.{layer}.";
                    var input = n.Layer(p + "input_layernorm", h, 1e-5);
                    var qkv = n.Linear(p + "self_attention.query_key_value", input);
                    var (q, k) = (Naive.Rotate(Part(qkv, 0, 2), Width, Width, 10000), Naive.Rotate(Part(qkv, 2, 1), Width, Width, 10000));
                    var a = Naive.Attend(q, k, Part(qkv, 3, 1), Heads, 2, Width, Width, 0.5);
                    var up = Naive.Map(n.Linear(p + "mlp.dense_h_to_4h", input), row => [.. row.Select(Naive.Gelu)]);
                    h = Naive.Add(h, n.Linear(p + "self_attention.dense", a), n.Linear(p + "mlp.dense_4h_to_h", up));
                }

                return n.Linear("lm_head", n.Layer("transformer.ln_f", h, 1e-5));
            });

        static double[][] Part(double[][] qkv, int first, int count) =>
            Naive.Map(qkv, row => [.. row.Chunk(4 * Width).SelectMany(group => group.Skip(first * Width).Take(count * Width))]);
    }

    [Fact]
    public void DeepseekV2_can_route_greedily_and_do_without_a_query_latent() => Check(
        $$"""
        {"architectures": ["DeepseekV2ForCausalLM"], "model_type": "deepseek_v2", "q_lora_rank": null, "kv_lora_rank": 6, "qk_nope_head_dim": 4,
         "qk_rope_head_dim": 2, "v_head_dim": 3, "n_routed_experts": 5, "num_experts_per_tok": 2, "moe_intermediate_size": 7, "n_shared_experts": null,
         "first_k_dense_replace": 1, "topk_method": "greedy", "routed_scaling_factor": 1.5, {{Common}} }
        """.Replace("\"n_shared_experts\": null,", "", StringComparison.Ordinal),
        n =>
        {
            var h = Layers(n.Embed("model.embed_tokens.weight", Ids, Hidden), (p, x) =>
            {
                var input = n.Rms(p + "input_layernorm", x, 1e-6);
                var q = Naive.Rotate(n.Linear(p + "self_attn.q_proj", input), 6, 2, 10000, true, from: 4);
                var down = n.Linear(p + "self_attn.kv_a_proj_with_mqa", input);
                var shared = Naive.Rotate(Naive.Columns(down, 6, 2), 2, 2, 10000, true);
                var up = n.Linear(p + "self_attn.kv_b_proj", n.Rms(p + "self_attn.kv_a_layernorm", Naive.Columns(down, 0, 6), 1e-6));
                var k = up.Select((row, t) => row.Chunk(7).SelectMany(head => head.Take(4).Concat(shared[t])).ToArray()).ToArray();
                var v = Naive.Map(up, row => [.. row.Chunk(7).SelectMany(head => head.Skip(4))]);
                x = Naive.Add(x, n.Linear(p + "self_attn.o_proj", Naive.Attend(q, k, v, Heads, Heads, 6, 3, 1 / Math.Sqrt(6))));
                var normed = n.Rms(p + "post_attention_layernorm", x, 1e-6);
                return Naive.Add(x, p.Contains(".0.", StringComparison.Ordinal) ? n.Gated(p + "mlp.", normed) : Experts(n, p + "mlp.", normed));
            });
            return n.Linear("lm_head", n.Rms("model.norm", h, 1e-6));
        });

    private static double[][] Experts(Naive n, string p, double[][] x) => [.. x.Select((row, t) =>
    {
        var logits = n.Linear(p + "gate", [row])[0];
        var scores = logits.Select(logit => Math.Exp(logit) / logits.Sum(Math.Exp)).ToArray();
        var chosen = Enumerable.Range(0, scores.Length).OrderByDescending(expert => scores[expert]).Take(2);
        var outputs = chosen.Select(expert => n.Gated($"{p}experts.{expert}.", [row])[0].Select(value => value * scores[expert] * 1.5).ToArray()).ToArray();
        return outputs[0].Zip(outputs[1], (a, b) => a + b).ToArray();
    })];
}
