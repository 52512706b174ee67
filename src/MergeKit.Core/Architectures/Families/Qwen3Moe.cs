namespace MergeKit.Core.Architectures.Families;

/// <summary>Qwen3-MoE (arXiv 2505.09388).</summary>
internal static class Qwen3Moe
{
    public static Architecture Architecture { get; } = new(Describe)
    {
        Name = "Qwen3-MoE",
        ClassNames = ["Qwen3MoeForCausalLM"],
        ModelType = "qwen3_moe",
    };

    private static NetworkSpec Describe(ConfigReader config)
    {
        var d = new Decoder(config, maxPositions: 32768);
        var (dense, activation) = (config.Int("intermediate_size"), config.Activation("hidden_act", "silu"));
        var (rope, windows, bias) = (d.Rope(), Qwen2.Windows(d), config.Flag("attention_bias", false));
        var count = config.OptionalInt("num_experts") ?? config.Int("num_local_experts", 128);
        config.Understand("num_local_experts");
        var (experts, isSparse) = (Qwen2Moe.Experts(d, activation, count), Qwen2Moe.SparseLayers(config));
        return d.Network(layer => Layer($"model.layers.{layer}.", layer), d.Rms("model.norm"));

        LayerSpec Layer(string prefix, int layer)
        {
            var plain = Llama.Layer(d, prefix, rope, bias, bias, false, dense, activation);
            var normed = plain with { Attention = Qwen3.Normed(d, plain.Attention, prefix) with { Window = windows[layer] } };
            return isSparse(layer)
                ? normed with { Mlp = null, Moe = experts.Moe(prefix + "mlp.", ("gate_proj", "up_proj", "down_proj")) }
                : normed;
        }
    }
}
