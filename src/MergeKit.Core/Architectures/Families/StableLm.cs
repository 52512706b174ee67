using System.Globalization;

namespace MergeKit.Core.Architectures.Families;

/// <summary>StableLM: Llama with layer norms, partial rotary, optional parallel residual and per-head norms.</summary>
internal static class StableLm
{
    public static Architecture Architecture { get; } = new(Describe)
    {
        Name = "StableLM",
        ClassNames = ["StableLmForCausalLM"],
        ModelType = "stablelm",
        IgnoredTensors = ["*.rotary_emb.inv_freq"],
    };

    private static NetworkSpec Describe(ConfigReader config)
    {
        var d = new Decoder(config, "layer_norm_eps", 1e-5, maxPositions: 4096);
        var (intermediate, activation) = (config.Int("intermediate_size"), config.Activation("hidden_act", "silu"));
        var (parallel, bias) = (config.Flag("use_parallel_residual", false), config.Flag("use_qkv_bias", false));
        var (rope, normed) = (d.Rope(partial: config.Number("partial_rotary_factor", 0.25)), config.Flag("qk_layernorm", false));
        return d.Network(layer => Layer($"model.layers.{layer}."), d.LayerNorm("model.norm"));

        LayerSpec Layer(string prefix) => new()
        {
            Parallel = parallel,
            AttentionNorm = d.LayerNorm(prefix + "input_layernorm"),
            Attention = d.Attention(prefix + "self_attn.", rope, bias) with
            {
                QueryNorm = normed ? HeadNorms(prefix + "self_attn.q_layernorm", d.Heads) : null,
                KeyNorm = normed ? HeadNorms(prefix + "self_attn.k_layernorm", d.KvHeads) : null,
            },
            MlpNorm = parallel ? null : d.LayerNorm(prefix + "post_attention_layernorm"),
            Mlp = d.Gated(prefix + "mlp.", intermediate, activation),
        };

        NormSpec HeadNorms(string name, int heads) => new(name, NormKind.Layer, heads * d.HeadDim, d.Epsilon)
        {
            GroupSize = d.HeadDim,
            Parts = [.. Enumerable.Range(0, heads).Select(head => string.Create(CultureInfo.InvariantCulture, $"{name}.norms.{head}"))],
        };
    }
}
