namespace MergeKit.Core.Architectures.Families;

/// <summary>Qwen2 and Qwen2.5 (arXiv 2407.10671): Llama with biases on q, k and v.</summary>
internal static class Qwen2
{
    public static Architecture Architecture { get; } = new(Describe)
    {
        Name = "Qwen2",
        ClassNames = ["Qwen2ForCausalLM"],
        ModelType = "qwen2",
        IgnoredTensors = ["*.rotary_emb.inv_freq"],
    };

    private static NetworkSpec Describe(ConfigReader config)
    {
        var d = new Decoder(config, maxPositions: 32768);
        var (intermediate, activation) = (config.Int("intermediate_size"), config.Activation("hidden_act", "silu"));
        var (rope, windows) = (d.Rope(), Windows(d));
        return d.Network(layer => Layer($"model.layers.{layer}.", windows[layer]), d.Rms("model.norm"));

        LayerSpec Layer(string prefix, int? window)
        {
            var plain = Llama.Layer(d, prefix, rope, true, false, false, intermediate, activation);
            return plain with { Attention = plain.Attention with { Window = window } };
        }
    }

    /// <summary>The Qwen rule: with <c>use_sliding_window</c>, layers from <c>max_window_layers</c> on have the window.</summary>
    public static IReadOnlyList<int?> Windows(Decoder d)
    {
        var config = d.Config;
        var from = config.Int("max_window_layers", 28, least: 0);
        var size = config.Int("sliding_window", config.IsStated("sliding_window") ? 0 : 4096, least: 0);
        var on = config.Flag("use_sliding_window", false) && size > 0;
        var sliding = d.SlidingLayers(layer => on && layer >= from);
        if (size == 0 && sliding.Contains(true))
            throw config.Wrong("sliding_window", "a window is wanted for the layers of type sliding_attention");
        return [.. sliding.Select(isSliding => isSliding ? size : (int?)null)];
    }
}
