namespace MergeKit.Core.Architectures.Families;

/// <summary>Phi-3, Phi-3.5 and Phi-4 (arXiv 2404.14219): fused qkv and gate-up matrices, long-rope.</summary>
internal static class Phi3
{
    public static Architecture Architecture { get; } = new(Describe)
    {
        Name = "Phi-3",
        ClassNames = ["Phi3ForCausalLM"],
        ModelType = "phi3",
        IgnoredTensors = ["*.rotary_emb.inv_freq"],
    };

    private static NetworkSpec Describe(ConfigReader config)
    {
        config.Only("attention_bias", "false");
        config.Only("interpolate_factor", "1");
        config.Only("full_attn_mod", "1");
        config.Understand("original_max_position_embeddings");
        var d = new Decoder(config, epsilon: 1e-5, maxPositions: 4096);
        var (intermediate, activation) = (config.Int("intermediate_size"), config.Activation("hidden_act", "silu"));
        var (rope, window) = (d.Rope(partial: config.Number("partial_rotary_factor", 1)), config.OptionalInt("sliding_window"));
        return d.Network(layer => Layer($"model.layers.{layer}."), d.Rms("model.norm"));

        LayerSpec Layer(string prefix) => new()
        {
            AttentionNorm = d.Rms(prefix + "input_layernorm"),
            Attention = d.Attention(prefix + "self_attn.", rope) with
            {
                Window = window,
                Layout = QkvLayout.Concatenated,
                Qkv = [d.Fused(prefix + "self_attn.qkv_proj", d.KvHeads, false)],
            },
            MlpNorm = d.Rms(prefix + "post_attention_layernorm"),
            Mlp = new MlpSpec
            {
                Activation = activation,
                GateUp = new LinearSpec(prefix + "mlp.gate_up_proj", TensorRole.MlpGateUp, 2 * intermediate, d.Hidden),
                Down = new LinearSpec(prefix + "mlp.down_proj", TensorRole.MlpDown, d.Hidden, intermediate),
            },
        };
    }
}
