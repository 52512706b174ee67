namespace MergeKit.Core.Architectures.Families;

/// <summary>OLMo 2 (arXiv 2501.00656): norms after the sublayers, and over all queries and all keys.</summary>
internal static class Olmo2
{
    public static Architecture Architecture { get; } = new(Describe)
    {
        Name = "OLMo 2",
        ClassNames = ["Olmo2ForCausalLM"],
        ModelType = "olmo2",
        IgnoredTensors = ["*.rotary_emb.inv_freq"],
    };

    private static NetworkSpec Describe(ConfigReader config)
    {
        var d = new Decoder(config, epsilon: 1e-5);
        var (intermediate, activation) = (config.Int("intermediate_size"), config.Activation("hidden_act", "silu"));
        var (rope, bias) = (d.Rope(), config.Flag("attention_bias", false));
        return d.Network(layer => Layer($"model.layers.{layer}."), d.Rms("model.norm"));

        LayerSpec Layer(string prefix) => new()
        {
            Attention = d.Attention(prefix + "self_attn.", rope, bias, bias) with
            {
                QueryNorm = d.RmsOf(prefix + "self_attn.q_norm", d.Heads * d.HeadDim),
                KeyNorm = d.RmsOf(prefix + "self_attn.k_norm", d.KvHeads * d.HeadDim),
            },
            AttentionPostNorm = d.Rms(prefix + "post_attention_layernorm"),
            Mlp = d.Gated(prefix + "mlp.", intermediate, activation),
            MlpPostNorm = d.Rms(prefix + "post_feedforward_layernorm"),
        };
    }
}
