namespace MergeKit.Core.Architectures.Families;

/// <summary>Command R: attention and MLP in parallel on one layer norm without bias, interleaved rotary pairs, scaled logits.</summary>
internal static class Cohere
{
    public static Architecture Architecture { get; } = new(Describe)
    {
        Name = "Cohere",
        ClassNames = ["CohereForCausalLM"],
        ModelType = "cohere",
        IgnoredTensors = ["*.rotary_emb.inv_freq"],
    };

    private static NetworkSpec Describe(ConfigReader config)
    {
        config.Understand("model_max_length");
        var d = new Decoder(config, "layer_norm_eps", 1e-5, maxPositions: 8192);
        var (intermediate, activation) = (config.Int("intermediate_size"), config.Activation("hidden_act", "silu"));
        var (rope, bias) = (d.Rope() with { Interleaved = true }, config.Flag("attention_bias", false));
        var (normed, scale) = (config.Flag("use_qk_norm", false), config.Number("logit_scale", 0.0625));
        var network = d.Network(layer => Layer($"model.layers.{layer}."), d.LayerNorm("model.norm", bias: false), tiedByDefault: true);
        return network with { Head = network.Head with { Scale = (float)scale } };

        LayerSpec Layer(string prefix) => new()
        {
            Parallel = true,
            AttentionNorm = d.LayerNorm(prefix + "input_layernorm", bias: false),
            Attention = d.Attention(prefix + "self_attn.", rope, bias, bias) with
            {
                QueryNorm = normed ? HeadNorm(prefix + "self_attn.q_norm", d.Heads) : null,
                KeyNorm = normed ? HeadNorm(prefix + "self_attn.k_norm", d.KvHeads) : null,
            },
            Mlp = d.Gated(prefix + "mlp.", intermediate, activation),
        };

        NormSpec HeadNorm(string name, int heads) =>
            new(name, NormKind.Layer, heads * d.HeadDim, d.Epsilon) { GroupSize = d.HeadDim, StoredShape = [heads, d.HeadDim] };
    }
}
