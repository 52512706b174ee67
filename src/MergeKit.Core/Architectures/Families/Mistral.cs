namespace MergeKit.Core.Architectures.Families;

/// <summary>Mistral 7B (arXiv 2310.06825): Llama with a sliding window on every layer.</summary>
internal static class Mistral
{
    public static Architecture Architecture { get; } = new(Describe)
    {
        Name = "Mistral",
        ClassNames = ["MistralForCausalLM"],
        ModelType = "mistral",
        IgnoredTensors = ["*.rotary_emb.inv_freq"],
    };

    private static NetworkSpec Describe(ConfigReader config)
    {
        var d = new Decoder(config, kvHeads: 8, maxPositions: 131072);
        var (intermediate, activation) = (config.Int("intermediate_size"), config.Activation("hidden_act", "silu"));
        var (rope, window) = (d.Rope(), config.OptionalInt("sliding_window"));
        return d.Network(layer => Layer($"model.layers.{layer}."), d.Rms("model.norm"));

        LayerSpec Layer(string prefix)
        {
            var plain = Llama.Layer(d, prefix, rope, false, false, false, intermediate, activation);
            return plain with { Attention = plain.Attention with { Window = window } };
        }
    }
}
