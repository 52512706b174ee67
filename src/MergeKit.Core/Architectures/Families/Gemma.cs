namespace MergeKit.Core.Architectures.Families;

/// <summary>Gemma (arXiv 2403.08295): norms with 1 + weight, embeddings times sqrt(hidden).</summary>
internal static class Gemma
{
    public static Architecture Architecture { get; } = new(Describe)
    {
        Name = "Gemma",
        ClassNames = ["GemmaForCausalLM"],
        ModelType = "gemma",
        IgnoredTensors = ["*.rotary_emb.inv_freq"],
    };

    private static NetworkSpec Describe(ConfigReader config)
    {
        config.Only("use_bidirectional_attention", "false");
        var d = new Decoder(config, headDim: 256, maxPositions: 8192);
        var (intermediate, activation) = (config.Int("intermediate_size"), ReadActivation(config));
        var (rope, bias) = (d.Rope(), config.Flag("attention_bias", false));
        return Scaled(d.Network(layer => Layer($"model.layers.{layer}."), d.Rms("model.norm", 1), tiedByDefault: true));

        LayerSpec Layer(string prefix) => new()
        {
            AttentionNorm = d.Rms(prefix + "input_layernorm", 1),
            Attention = d.Attention(prefix + "self_attn.", rope, bias, bias),
            MlpNorm = d.Rms(prefix + "post_attention_layernorm", 1),
            Mlp = d.Gated(prefix + "mlp.", intermediate, activation),
        };
    }

    /// <summary>The first release says <c>hidden_act: gelu</c> and means the tanh form.</summary>
    public static Activation ReadActivation(ConfigReader config)
    {
        if (config.Text("hidden_act", "gelu_pytorch_tanh") is not ("gelu" or "gelu_pytorch_tanh") && !config.Has("hidden_activation"))
            return config.Activation("hidden_act", "gelu_pytorch_tanh");
        return config.Activation("hidden_activation", "gelu_pytorch_tanh");
    }

    /// <summary>Embeddings times sqrt(hidden).</summary>
    public static NetworkSpec Scaled(NetworkSpec network) =>
        network with { Embedding = network.Embedding with { Scale = (float)Math.Sqrt(network.HiddenSize) } };

    /// <summary>The layer of the second and third generation: norms before and after both sublayers.</summary>
    public static LayerSpec Sandwich(Decoder d, string prefix, AttentionSpec attention, int intermediate, Activation activation) => new()
    {
        AttentionNorm = d.Rms(prefix + "input_layernorm", 1),
        Attention = attention,
        AttentionPostNorm = d.Rms(prefix + "post_attention_layernorm", 1),
        MlpNorm = d.Rms(prefix + "pre_feedforward_layernorm", 1),
        Mlp = d.Gated(prefix + "mlp.", intermediate, activation),
        MlpPostNorm = d.Rms(prefix + "post_feedforward_layernorm", 1),
    };
}
