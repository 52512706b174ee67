namespace MergeKit.Core.Architectures.Families;

/// <summary>Qwen1.5-MoE and Qwen2-MoE: routed experts beside a gated shared one; some layers may be dense.</summary>
internal static class Qwen2Moe
{
    public static Architecture Architecture { get; } = new(Describe)
    {
        Name = "Qwen2-MoE",
        ClassNames = ["Qwen2MoeForCausalLM"],
        ModelType = "qwen2_moe",
        IgnoredTensors = ["*.rotary_emb.inv_freq"],
    };

    private static NetworkSpec Describe(ConfigReader config)
    {
        var d = new Decoder(config, maxPositions: 32768);
        var (dense, activation) = (config.Int("intermediate_size"), config.Activation("hidden_act", "silu"));
        var (rope, windows, bias) = (d.Rope(), Qwen2.Windows(d), config.Flag("qkv_bias", true));
        var (experts, isSparse) = (Experts(d, activation, config.OptionalInt("num_experts") ?? config.Int("num_local_experts", 60)), SparseLayers(config));
        var shared = config.Int("shared_expert_intermediate_size", 5632);
        return d.Network(layer => Layer($"model.layers.{layer}.", layer), d.Rms("model.norm"));

        LayerSpec Layer(string prefix, int layer)
        {
            var plain = Llama.Layer(d, prefix, rope, bias, false, false, dense, activation);
            var windowed = plain with { Attention = plain.Attention with { Window = windows[layer] } };
            return isSparse(layer) ? windowed with { Mlp = null, Moe = Moe(prefix + "mlp.") } : windowed;
        }

        MoeSpec Moe(string prefix) => experts.Moe(prefix, ("gate_proj", "up_proj", "down_proj")) with
        {
            Shared = experts.Shared(prefix + "shared_expert.", shared),
            SharedGate = new LinearSpec(prefix + "shared_expert_gate", TensorRole.SharedExpertRouter, 1, d.Hidden),
        };
    }

    /// <summary>The routing keys of both Qwen mixtures.</summary>
    public static ExpertFacts Experts(Decoder d, Activation activation, int count)
    {
        var routing = new RoutingSpec
        {
            Experts = count,
            TopK = d.Config.Int("num_experts_per_tok"),
            Scoring = RouterScoring.Softmax,
            Normalise = d.Config.Flag("norm_topk_prob", false),
        };
        return new ExpertFacts(d, d.Config.Int("moe_intermediate_size"), activation, routing);
    }

    /// <summary>Layers in <c>mlp_only_layers</c>, and those off the <c>decoder_sparse_step</c>, are dense.</summary>
    public static Func<int, bool> SparseLayers(ConfigReader config)
    {
        var (step, only) = (config.Int("decoder_sparse_step", 1), config.Ints("mlp_only_layers") ?? []);
        return layer => !only.Contains(layer) && (layer + 1) % step == 0;
    }
}
