namespace MergeKit.Core.Architectures.Families;

/// <summary>SmolLM3: Llama with some layers that have no rotary embedding (arXiv 2501.18795).</summary>
internal static class SmolLm3
{
    public static Architecture Architecture { get; } = new(Describe)
    {
        Name = "SmolLM3",
        ClassNames = ["SmolLM3ForCausalLM"],
        ModelType = "smollm3",
    };

    private static NetworkSpec Describe(ConfigReader config)
    {
        config.Understand("max_window_layers");
        var d = new Decoder(config, kvHeads: 4, maxPositions: 32768);
        var (attentionBias, mlpBias) = (config.Flag("attention_bias", false), config.Flag("mlp_bias", false));
        var (intermediate, activation) = (config.Int("intermediate_size"), config.Activation("hidden_act", "silu"));
        var (rope, rotated) = (d.Rope(2e6), RotatedLayers(d));
        var window = config.OptionalInt("sliding_window");
        var on = config.Flag("use_sliding_window", false) && window is not null;
        var sliding = d.SlidingLayers(layer => on && !rotated[layer]);
        if (window is null && sliding.Contains(true))
            throw config.Wrong("sliding_window", "a window is wanted for the layers of type sliding_attention");
        return d.Network(layer => Layer($"model.layers.{layer}.", layer), d.Rms("model.norm"), tiedByDefault: true);

        LayerSpec Layer(string prefix, int layer)
        {
            var plain = Llama.Layer(d, prefix, rotated[layer] ? rope : null, attentionBias, attentionBias, mlpBias, intermediate, activation);
            return plain with { Attention = plain.Attention with { Window = sliding[layer] ? window : null } };
        }
    }

    /// <summary><c>no_rope_layers</c> holds 1 for layers that have a rotary embedding, 0 for those that do not.</summary>
    private static bool[] RotatedLayers(Decoder d)
    {
        var (interval, stated) = (d.Config.Int("no_rope_layer_interval", 4), d.Config.Ints("no_rope_layers"));
        if (stated is not null && stated.Count != d.LayerCount && d.Config.LayerOverride is null)
            throw d.Config.Wrong("no_rope_layers", $"one entry for each of the {d.LayerCount} layers is wanted");
        return [.. Enumerable.Range(0, d.LayerCount).Select(layer =>
            stated is null || layer >= stated.Count ? (layer + 1) % interval != 0 : stated[layer] != 0)];
    }
}
