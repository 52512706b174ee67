namespace MergeKit.Core.Architectures.Families;

/// <summary>Phi-1, 1.5 and 2: attention and MLP in parallel on one layer norm, biases everywhere, partial rotary.</summary>
internal static class Phi
{
    public static Architecture Architecture { get; } = new(Describe)
    {
        Name = "Phi",
        ClassNames = ["PhiForCausalLM"],
        ModelType = "phi",
        IgnoredTensors = ["*.rotary_emb.inv_freq"],
    };

    private static NetworkSpec Describe(ConfigReader config)
    {
        var d = new Decoder(config, "layer_norm_eps", 1e-5);
        var (intermediate, activation) = (config.Int("intermediate_size"), config.Activation("hidden_act", "gelu_new"));
        var (rope, normed) = (d.Rope(partial: config.Number("partial_rotary_factor", 0.5)), config.Flag("qk_layernorm", false));
        return d.Network(layer => Layer($"model.layers.{layer}."), d.LayerNorm("model.final_layernorm"), headBias: true);

        LayerSpec Layer(string prefix) => new()
        {
            Parallel = true,
            AttentionNorm = d.LayerNorm(prefix + "input_layernorm"),
            Attention = d.Attention(prefix + "self_attn.", rope, true, true, "dense") with
            {
                QueryNorm = normed ? new NormSpec(prefix + "self_attn.q_layernorm", NormKind.Layer, d.HeadDim, d.Epsilon) { HasBias = true } : null,
                KeyNorm = normed ? new NormSpec(prefix + "self_attn.k_layernorm", NormKind.Layer, d.HeadDim, d.Epsilon) { HasBias = true } : null,
            },
            Mlp = d.Plain(prefix + "mlp.fc1", prefix + "mlp.fc2", intermediate, activation, true),
        };
    }
}
