namespace MergeKit.Core.Architectures.Families;

/// <summary>DeepSeekMoE (arXiv 2401.06066): Llama's attention; routed experts beside shared ones; the first layers may be dense.</summary>
internal static class Deepseek
{
    public static Architecture Architecture { get; } = new(Describe)
    {
        Name = "DeepSeek",
        ClassNames = ["DeepseekForCausalLM"],
        ModelType = "deepseek",
        IgnoredTensors = ["*.rotary_emb.inv_freq"],
    };

    private static NetworkSpec Describe(ConfigReader config)
    {
        config.Only("scoring_func", "softmax");
        config.Only("mlp_bias", "false");
        var d = new Decoder(config);
        var (bias, rope) = (config.Flag("attention_bias", false), d.Rope());
        var (dense, activation) = (config.Int("intermediate_size"), config.Activation("hidden_act", "silu"));
        var (firstSparse, every) = (config.Int("first_k_dense_replace", 0, least: 0), config.Int("moe_layer_freq", 1));
        var (width, shared) = (config.Int("moe_intermediate_size"), config.OptionalInt("n_shared_experts") ?? 0);
        d.CheckWidth("n_shared_experts", shared, width);
        var experts = new ExpertFacts(d, width, activation, new RoutingSpec
        {
            Experts = config.Int("n_routed_experts"),
            TopK = config.Int("num_experts_per_tok"),
            Scoring = RouterScoring.Softmax,
            Normalise = config.Flag("norm_topk_prob", false) && config.Int("num_experts_per_tok") > 1,
        });
        return d.Network(layer => Layer($"model.layers.{layer}.", layer), d.Rms("model.norm"));

        LayerSpec Layer(string prefix, int layer)
        {
            var plain = Llama.Layer(d, prefix, rope, bias, bias, false, dense, activation);
            return layer >= firstSparse && layer % every == 0 ? plain with { Mlp = null, Moe = Moe(prefix + "mlp.") } : plain;
        }

        MoeSpec Moe(string prefix) => experts.Moe(prefix, ("gate_proj", "up_proj", "down_proj")) with
        {
            Shared = shared > 0 ? experts.Shared(prefix + "shared_experts.", shared * width) : null,
        };
    }
}
