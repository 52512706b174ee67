namespace MergeKit.Core.Architectures.Families;

/// <summary>Gemma 2 (arXiv 2408.00118): soft caps, a window on every other layer.</summary>
internal static class Gemma2
{
    public static Architecture Architecture { get; } = new(Describe)
    {
        Name = "Gemma 2",
        ClassNames = ["Gemma2ForCausalLM"],
        ModelType = "gemma2",
        IgnoredTensors = ["*.rotary_emb.inv_freq"],
    };

    private static NetworkSpec Describe(ConfigReader config)
    {
        config.Only("use_bidirectional_attention", "false");
        var d = new Decoder(config, headDim: 256, maxPositions: 8192);
        var (intermediate, activation) = (config.Int("intermediate_size"), Gemma.ReadActivation(config));
        var (rope, bias, window) = (d.Rope(), config.Flag("attention_bias", false), config.Int("sliding_window", 4096));
        var scale = (float)(1 / Math.Sqrt(config.Number("query_pre_attn_scalar", 256)));
        var (cap, finalCap) = (Cap(config, "attn_logit_softcapping", 50), Cap(config, "final_logit_softcapping", 30));
        var sliding = d.SlidingLayers(layer => layer % 2 == 0);
        var network = Gemma.Scaled(d.Network(layer => Layer($"model.layers.{layer}.", layer), d.Rms("model.norm", 1), tiedByDefault: true));
        return network with { Head = network.Head with { Softcap = finalCap } };

        LayerSpec Layer(string prefix, int layer)
        {
            var attention = d.Attention(prefix + "self_attn.", rope, bias, bias) with
            {
                Scale = scale,
                Softcap = cap,
                Window = sliding[layer] ? window : null,
            };
            return Gemma.Sandwich(d, prefix, attention, intermediate, activation);
        }
    }

    /// <summary>A soft cap: the default where the key is absent, none where it is null.</summary>
    public static float? Cap(ConfigReader config, string key, float? otherwise)
    {
        var value = config.OptionalPositive(key);
        return config.IsStated(key) ? value : otherwise;
    }
}
