namespace MergeKit.Core.Architectures.Families;

/// <summary>gpt-oss (arXiv 2508.10925): attention sinks, alternating windows, packed experts with a clamped gate.</summary>
internal static class GptOss
{
    public static Architecture Architecture { get; } = new(Describe)
    {
        Name = "gpt-oss",
        ClassNames = ["GptOssForCausalLM"],
        ModelType = "gpt_oss",
    };

    private static NetworkSpec Describe(ConfigReader config)
    {
        config.Understand("experts_per_token", "initial_context_length");
        var d = new Decoder(config, epsilon: 1e-5, kvHeads: 8, headDim: 64, maxPositions: 131072);
        var (bias, window, rope) = (config.Flag("attention_bias", true), config.Int("sliding_window", 128), d.Rope(150000));
        var sliding = d.SlidingLayers(layer => layer % 2 == 0);
        var (intermediate, activation) = (config.Int("intermediate_size"), config.Activation("hidden_act", "silu"));
        var limit = (float)config.Number("swiglu_limit", 7);
        var routing = ExpertFacts.Check(config, new RoutingSpec
        {
            Experts = config.Int("num_local_experts", 128),
            TopK = config.Int("num_experts_per_tok", 4),
            Scoring = RouterScoring.SoftmaxOfChosen,
        });
        return d.Network(layer => Layer($"model.layers.{layer}.", layer), d.Rms("model.norm"));

        LayerSpec Layer(string prefix, int layer) => new()
        {
            AttentionNorm = d.Rms(prefix + "input_layernorm"),
            Attention = d.Attention(prefix + "self_attn.", rope, bias, bias) with
            {
                Window = sliding[layer] ? window : null,
                Sinks = new TensorSpec(prefix + "self_attn.sinks", TensorRole.AttentionSinks, [d.Heads]),
            },
            MlpNorm = d.Rms(prefix + "post_attention_layernorm"),
            Moe = new MoeSpec
            {
                Router = new LinearSpec(prefix + "mlp.router", TensorRole.Router, routing.Experts, d.Hidden, HasBias: true),
                Routing = routing,
                Intermediate = intermediate,
                Activation = activation,
                ClampedSwigluLimit = limit,
                Packed = Packed(prefix + "mlp.experts.", routing.Experts, d.Hidden, intermediate),
            },
        };
    }

    private static PackedExpertsSpec Packed(string prefix, int experts, int hidden, int intermediate) => new()
    {
        StoredTransposed = true,
        Interleaved = true,
        GateUp = new TensorSpec(prefix + "gate_up_proj", TensorRole.ExpertGateUp, [experts, hidden, 2L * intermediate]),
        Down = new TensorSpec(prefix + "down_proj", TensorRole.ExpertDown, [experts, intermediate, hidden]),
        Biases = (new TensorSpec(prefix + "gate_up_proj_bias", TensorRole.Bias, [experts, 2L * intermediate]),
            new TensorSpec(prefix + "down_proj_bias", TensorRole.Bias, [experts, hidden])),
    };
}
