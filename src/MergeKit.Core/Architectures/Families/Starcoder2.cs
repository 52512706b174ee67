namespace MergeKit.Core.Architectures.Families;

/// <summary>StarCoder2 (arXiv 2402.19173): layer norms, a plain MLP, biases, a sliding window.</summary>
internal static class Starcoder2
{
    public static Architecture Architecture { get; } = new(Describe)
    {
        Name = "StarCoder2",
        ClassNames = ["Starcoder2ForCausalLM"],
        ModelType = "starcoder2",
        IgnoredTensors = ["*.rotary_emb.inv_freq"],
    };

    private static NetworkSpec Describe(ConfigReader config)
    {
        config.Only("norm_type", "layer_norm");
        config.Only("mlp_type", "default");
        var d = new Decoder(config, "norm_epsilon", 1e-5, kvHeads: 2, maxPositions: 4096);
        var (intermediate, activation) = (config.Int("intermediate_size"), config.Activation("hidden_act", "gelu_pytorch_tanh"));
        var (rope, bias, window) = (d.Rope(), config.Flag("use_bias", true), config.OptionalInt("sliding_window"));
        return d.Network(layer => Layer($"model.layers.{layer}."), d.LayerNorm("model.norm"), tiedByDefault: true);

        LayerSpec Layer(string prefix) => new()
        {
            AttentionNorm = d.LayerNorm(prefix + "input_layernorm"),
            Attention = d.Attention(prefix + "self_attn.", rope, bias, bias) with { Window = window },
            MlpNorm = d.LayerNorm(prefix + "post_attention_layernorm"),
            Mlp = d.Plain(prefix + "mlp.c_fc", prefix + "mlp.c_proj", intermediate, activation, bias),
        };
    }
}
