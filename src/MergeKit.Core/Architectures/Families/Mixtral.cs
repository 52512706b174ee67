namespace MergeKit.Core.Architectures.Families;

/// <summary>Mixtral (arXiv 2401.04088): Mistral with a mixture of experts in every layer.</summary>
internal static class Mixtral
{
    public static Architecture Architecture { get; } = new(Describe)
    {
        Name = "Mixtral",
        ClassNames = ["MixtralForCausalLM"],
        ModelType = "mixtral",
        IgnoredTensors = ["*.rotary_emb.inv_freq"],
    };

    private static NetworkSpec Describe(ConfigReader config)
    {
        var d = new Decoder(config, epsilon: 1e-5, kvHeads: 8, maxPositions: 131072);
        var (intermediate, activation) = (config.Int("intermediate_size"), config.Activation("hidden_act", "silu"));
        var (rope, window) = (d.Rope(1e6), config.OptionalInt("sliding_window"));
        var experts = new ExpertFacts(d, intermediate, activation, new RoutingSpec
        {
            Experts = config.Int("num_local_experts", 8),
            TopK = config.Int("num_experts_per_tok", 2),
            Scoring = RouterScoring.Softmax,
            Normalise = true,
        });
        return d.Network(layer => Layer($"model.layers.{layer}."), d.Rms("model.norm"));

        LayerSpec Layer(string prefix) => new()
        {
            AttentionNorm = d.Rms(prefix + "input_layernorm"),
            Attention = d.Attention(prefix + "self_attn.", rope) with { Window = window },
            MlpNorm = d.Rms(prefix + "post_attention_layernorm"),
            Moe = experts.Moe(prefix + "block_sparse_moe.", ("w1", "w3", "w2"), alias: prefix + "mlp."),
        };
    }
}
