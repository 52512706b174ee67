namespace MergeKit.Core.Architectures.Families;

/// <summary>Llama (arXiv 2302.13971, 2307.09288, 2407.21783).</summary>
internal static class Llama
{
    public static Architecture Architecture { get; } = new(Describe)
    {
        Name = "Llama",
        ClassNames = ["LlamaForCausalLM"],
        ModelType = "llama",
        IgnoredTensors = ["*.rotary_emb.inv_freq"],
    };

    private static NetworkSpec Describe(ConfigReader config)
    {
        var d = new Decoder(config);
        var (attentionBias, mlpBias) = (config.Flag("attention_bias", false), config.Flag("mlp_bias", false));
        var (intermediate, activation) = (config.Int("intermediate_size"), config.Activation("hidden_act", "silu"));
        var rope = d.Rope();
        return d.Network(
            layer => Layer(d, $"model.layers.{layer}.", rope, attentionBias, attentionBias, mlpBias, intermediate, activation), d.Rms("model.norm"));
    }

    /// <summary>The layer that Llama's descendants start from.</summary>
    public static LayerSpec Layer(
        Decoder d, string prefix, RopeSpec? rope, bool qkvBias, bool outBias, bool mlpBias, int intermediate, Activation activation) => new()
        {
            AttentionNorm = d.Rms(prefix + "input_layernorm"),
            Attention = d.Attention(prefix + "self_attn.", rope, qkvBias, outBias),
            MlpNorm = d.Rms(prefix + "post_attention_layernorm"),
            Mlp = d.Gated(prefix + "mlp.", intermediate, activation, mlpBias),
        };
}
