namespace MergeKit.Core.Architectures.Families;

/// <summary>Qwen3 (arXiv 2505.09388): norms on each query and key head.</summary>
internal static class Qwen3
{
    public static Architecture Architecture { get; } = new(Describe)
    {
        Name = "Qwen3",
        ClassNames = ["Qwen3ForCausalLM"],
        ModelType = "qwen3",
    };

    private static NetworkSpec Describe(ConfigReader config)
    {
        var d = new Decoder(config, headDim: 128, maxPositions: 32768);
        var (intermediate, activation) = (config.Int("intermediate_size"), config.Activation("hidden_act", "silu"));
        var (rope, windows, bias) = (d.Rope(), Qwen2.Windows(d), config.Flag("attention_bias", false));
        return d.Network(layer => Layer($"model.layers.{layer}.", windows[layer]), d.Rms("model.norm"));

        LayerSpec Layer(string prefix, int? window)
        {
            var plain = Llama.Layer(d, prefix, rope, bias, bias, false, intermediate, activation);
            return plain with { Attention = Normed(d, plain.Attention, prefix) with { Window = window } };
        }
    }

    /// <summary>Adds the norms of queries and keys.</summary>
    public static AttentionSpec Normed(Decoder d, AttentionSpec attention, string prefix) => attention with
    {
        QueryNorm = d.RmsOf(prefix + "self_attn.q_norm", d.HeadDim),
        KeyNorm = d.RmsOf(prefix + "self_attn.k_norm", d.HeadDim),
    };
}
