namespace MergeKit.Core.Architectures.Families;

/// <summary>Falcon (arXiv 2311.16867): one qkv matrix in three layouts, parallel or sequential sublayers, rotary or ALiBi.</summary>
internal static class Falcon
{
    public static Architecture Architecture { get; } = new(Describe)
    {
        Name = "Falcon",
        ClassNames = ["FalconForCausalLM"],
        ModelType = "falcon",
        IgnoredTensors = ["*.rotary_emb.inv_freq"],
    };

    private static NetworkSpec Describe(ConfigReader config)
    {
        config.Understand("num_kv_heads");
        config.Only("apply_residual_connection_post_layernorm", "false");
        var d = new Decoder(config, "layer_norm_epsilon", 1e-5, kvHeads: 1);
        var modern = config.Flag("new_decoder_architecture", false);
        var (multiQuery, parallel) = (config.Flag("multi_query", true), config.Flag("parallel_attn", true) || modern);
        var (bias, alibi) = (config.Flag("bias", false), config.Flag("alibi", false));
        var kvHeads = !modern && multiQuery ? 1 : modern ? config.Int("num_kv_heads", d.Heads) : d.Heads;
        var twoNorms = modern && config.Int("num_ln_in_parallel_attn", 2) == 2;
        config.Understand("num_ln_in_parallel_attn");
        var (width, activation) = (config.Int("ffn_hidden_size", checked(4 * d.Hidden)), config.Activation("activation", "gelu"));
        var rope = d.Rope();
        if (d.Heads % kvHeads != 0)
            throw config.Wrong("num_kv_heads", $"a divisor of num_attention_heads ({d.Heads}) is wanted");
        var network = d.Network(layer => Layer($"transformer.h.{layer}."), d.LayerNorm("transformer.ln_f"), true, "transformer.word_embeddings.weight");
        return network with { OptionalPrefix = "transformer." };

        LayerSpec Layer(string prefix) => new()
        {
            Parallel = parallel,
            AttentionNorm = d.LayerNorm(prefix + (twoNorms ? "ln_attn" : "input_layernorm")),
            Attention = d.Attention(prefix + "self_attention.", alibi ? null : rope, bias, bias, "dense") with
            {
                KvHeads = kvHeads,
                Layout = !modern && multiQuery ? QkvLayout.Concatenated : QkvLayout.GroupedByKvHead,
                Qkv = [new LinearSpec(prefix + "self_attention.query_key_value", TensorRole.AttentionQkv, (d.Heads + 2 * kvHeads) * d.HeadDim, d.Hidden, bias)],
                AlibiSlopes = alibi ? [.. Alibi.Slopes(d.Heads).Select(slope => slope * AlibiFactor(d.HeadDim))] : null,
            },
            MlpNorm = twoNorms ? d.LayerNorm(prefix + "ln_mlp") : parallel ? null : d.LayerNorm(prefix + "post_attention_layernorm"),
            Mlp = d.Plain(prefix + "mlp.dense_h_to_4h", prefix + "mlp.dense_4h_to_h", width, activation, bias),
        };
    }

    /// <summary>The slopes are scaled like the scores, 1 / sqrt(d), and count twice: the reference's eager attention adds the bias
    /// to the scores before scaling them and once more, scaled, with the mask.</summary>
    private static float AlibiFactor(int headDim) => 2 / MathF.Sqrt(headDim);
}
