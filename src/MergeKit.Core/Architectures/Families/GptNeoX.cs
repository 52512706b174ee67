namespace MergeKit.Core.Architectures.Families;

/// <summary>GPT-NeoX and Pythia (arXiv 2204.06745): qkv interleaved by head, partial rotary, parallel residual.</summary>
internal static class GptNeoX
{
    public static Architecture Architecture { get; } = new(Describe)
    {
        Name = "GPT-NeoX",
        ClassNames = ["GPTNeoXForCausalLM"],
        ModelType = "gpt_neox",
        IgnoredTensors = ["*.attention.bias", "*.attention.masked_bias", "*.rotary_emb.inv_freq"],
    };

    private static NetworkSpec Describe(ConfigReader config)
    {
        config.Only("is_decoder", "false", "true");
        var d = new Decoder(config, "layer_norm_eps", 1e-5);
        var (intermediate, activation) = (config.Int("intermediate_size"), config.Activation("hidden_act", "gelu"));
        var theta = config.Number("rotary_emb_base", config.Number("rope_theta", 10000));
        var partial = config.Number("rotary_pct", config.Number("partial_rotary_factor", 0.25));
        var rope = RopeReader.Read(config, d.HeadDim, d.MaxPositions, theta, partial: partial);
        var (parallel, bias) = (config.Flag("use_parallel_residual", true), config.Flag("attention_bias", true));
        return d.Network(
            layer => Layer($"gpt_neox.layers.{layer}."), d.LayerNorm("gpt_neox.final_layer_norm"),
            embedding: "gpt_neox.embed_in.weight", head: "embed_out");

        LayerSpec Layer(string prefix) => new()
        {
            Parallel = parallel,
            AttentionNorm = d.LayerNorm(prefix + "input_layernorm"),
            Attention = d.Attention(prefix + "attention.", rope, bias, bias, "dense") with
            {
                Layout = QkvLayout.GroupedByKvHead,
                Qkv = [d.Fused(prefix + "attention.query_key_value", d.KvHeads, bias)],
            },
            MlpNorm = d.LayerNorm(prefix + "post_attention_layernorm"),
            Mlp = d.Plain(prefix + "mlp.dense_h_to_4h", prefix + "mlp.dense_4h_to_h", intermediate, activation, true),
        };
    }
}
