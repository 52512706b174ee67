namespace MergeKit.Core.Architectures.Families;

/// <summary>Gemma 3, text model (arXiv 2503.19786): windowed layers with a rotary base of their own, norms on queries and keys.</summary>
internal static class Gemma3
{
    public static Architecture Architecture { get; } = new(Describe)
    {
        Name = "Gemma 3",
        ClassNames = ["Gemma3ForCausalLM"],
        ModelType = "gemma3_text",
        IgnoredTensors = ["*.rotary_emb.inv_freq"],
    };

    private static NetworkSpec Describe(ConfigReader config)
    {
        config.Only("use_bidirectional_attention", "false");
        var d = new Decoder(config, headDim: 256, maxPositions: 131072);
        var (intermediate, activation) = (config.Int("intermediate_size"), Gemma.ReadActivation(config));
        var (bias, window) = (config.Flag("attention_bias", false), config.Int("sliding_window", 4096));
        var scale = (float)(1 / Math.Sqrt(config.Number("query_pre_attn_scalar", 256)));
        var (cap, finalCap) = (Gemma2.Cap(config, "attn_logit_softcapping", null), Gemma2.Cap(config, "final_logit_softcapping", null));
        var pattern = config.OptionalInt("_sliding_window_pattern") ?? config.Int("sliding_window_pattern", 6);
        config.Understand("sliding_window_pattern");
        var sliding = d.SlidingLayers(layer => (layer + 1) % pattern != 0);
        var full = d.Rope(1e6, "full_attention");
        var localTheta = config.Number("rope_local_base_freq", 10000);
        var local = RopeReader.Read(config, d.HeadDim, d.MaxPositions, localTheta, "sliding_attention", ignoreScaling: true);
        var network = Gemma.Scaled(d.Network(layer => Layer($"model.layers.{layer}.", layer), d.Rms("model.norm", 1), tiedByDefault: true));
        return network with { Head = network.Head with { Softcap = finalCap } };

        LayerSpec Layer(string prefix, int layer)
        {
            var attention = d.Attention(prefix + "self_attn.", sliding[layer] ? local : full, bias, bias) with
            {
                Scale = scale,
                Softcap = cap,
                Window = sliding[layer] ? window : null,
                QueryNorm = d.RmsOf(prefix + "self_attn.q_norm", d.HeadDim, 1),
                KeyNorm = d.RmsOf(prefix + "self_attn.k_norm", d.HeadDim, 1),
            };
            return Gemma.Sandwich(d, prefix, attention, intermediate, activation);
        }
    }
}
