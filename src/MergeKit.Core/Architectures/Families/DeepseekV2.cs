namespace MergeKit.Core.Architectures.Families;

/// <summary>DeepSeek-V2 (arXiv 2405.04434): latent attention; routed experts limited to the best groups, and shared ones.</summary>
internal static class DeepseekV2
{
    public static Architecture Architecture { get; } = new(Describe)
    {
        Name = "DeepSeek-V2",
        ClassNames = ["DeepseekV2ForCausalLM"],
        ModelType = "deepseek_v2",
        IgnoredTensors = ["*.rotary_emb.inv_freq"],
    };

    private static NetworkSpec Describe(ConfigReader config)
    {
        config.Only("scoring_func", "softmax");
        config.Only("topk_method", "greedy", "group_limited_greedy");
        var grouped = config.Text("topk_method", "greedy") == "group_limited_greedy";
        var normalise = config.Flag("norm_topk_prob", false) && config.Int("num_experts_per_tok") > 1;
        var groups = config.Int("n_group", 1);
        var topGroups = config.Int("topk_group", 1);
        var scale = config.Number("routed_scaling_factor", 1);
        return Build(config, interleaved: true, new RoutingSpec
        {
            Experts = config.Int("n_routed_experts", 64),
            TopK = config.Int("num_experts_per_tok"),
            Scoring = RouterScoring.Softmax,
            Normalise = normalise,
            Scale = normalise ? 1 : (float)scale,
            Groups = grouped ? groups : 1,
            TopGroups = grouped ? topGroups : 1,
            Ranking = GroupRanking.Best,
        }, hasCorrection: false);
    }

    /// <summary>What the second and third version share.</summary>
    public static NetworkSpec Build(ConfigReader config, bool interleaved, RoutingSpec routing, bool hasCorrection)
    {
        config.Understand("head_dim", "qk_head_dim");
        config.Only("mlp_bias", "false");
        var d = new Decoder(config, headDim: 1);
        var (intermediate, activation) = (config.Int("intermediate_size"), config.Activation("hidden_act", "silu"));
        var (firstSparse, every) = (config.Int("first_k_dense_replace", 0, least: 0), config.Int("moe_layer_freq", 1));
        var width = config.Int("moe_intermediate_size");
        var (experts, shared) = (new ExpertFacts(d, width, activation, routing), config.Int("n_shared_experts", 0, least: 0));
        d.CheckWidth("n_shared_experts", shared, width);
        var attention = LatentAttention(d, interleaved);
        return d.Network(layer => Layer($"model.layers.{layer}.", layer), d.Rms("model.norm"));

        LayerSpec Layer(string prefix, int layer)
        {
            var sparse = layer >= firstSparse && layer % every == 0;
            return new LayerSpec
            {
                AttentionNorm = d.Rms(prefix + "input_layernorm"),
                Attention = attention(prefix + "self_attn."),
                MlpNorm = d.Rms(prefix + "post_attention_layernorm"),
                Mlp = sparse ? null : d.Gated(prefix + "mlp.", intermediate, activation),
                Moe = sparse ? Moe(prefix + "mlp.") : null,
            };
        }

        MoeSpec Moe(string prefix) => experts.Moe(prefix, ("gate_proj", "up_proj", "down_proj")) with
        {
            Correction = hasCorrection ? new TensorSpec(prefix + "gate.e_score_correction_bias", TensorRole.RouterCorrection, [routing.Experts]) : null,
            Shared = shared > 0 ? experts.Shared(prefix + "shared_experts.", shared * width) : null,
        };
    }

    private static Func<string, AttentionSpec> LatentAttention(Decoder d, bool interleaved)
    {
        var config = d.Config;
        var (queryRank, rank) = (config.OptionalInt("q_lora_rank"), config.Int("kv_lora_rank"));
        var (plain, rotary, value) = (config.Int("qk_nope_head_dim"), config.Int("qk_rope_head_dim"), config.Int("v_head_dim"));
        var bias = config.Flag("attention_bias", false);
        d.CheckWidth("qk_nope_head_dim", d.Heads, (long)plain + rotary + value);
        var rope = RopeReader.Read(config, rotary, d.MaxPositions, config.Number("rope_theta", 10000)) with { Interleaved = interleaved };
        var scale = (float)(RopeReader.LatentScale(config, rope) / Math.Sqrt(plain + rotary));
        return prefix => new AttentionSpec
        {
            Heads = d.Heads,
            KvHeads = d.Heads,
            HeadDim = plain + rotary,
            ValueDim = value,
            Scale = scale,
            Rope = rope,
            Latent = new LatentSpec
            {
                QueryDown = queryRank is { } low ? new LinearSpec(prefix + "q_a_proj", TensorRole.AttentionQueryDown, low, d.Hidden, bias) : null,
                QueryNorm = queryRank is { } size ? d.RmsOf(prefix + "q_a_layernorm", size) : null,
                QueryUp = queryRank is { } inner
                    ? new LinearSpec(prefix + "q_b_proj", TensorRole.AttentionQueryUp, d.Heads * (plain + rotary), inner)
                    : new LinearSpec(prefix + "q_proj", TensorRole.AttentionQuery, d.Heads * (plain + rotary), d.Hidden),
                KeyValueDown = new LinearSpec(prefix + "kv_a_proj_with_mqa", TensorRole.AttentionKeyValueDown, rank + rotary, d.Hidden, bias),
                KeyValueNorm = d.RmsOf(prefix + "kv_a_layernorm", rank),
                KeyValueUp = new LinearSpec(prefix + "kv_b_proj", TensorRole.AttentionKeyValueUp, d.Heads * (plain + value), rank),
                Rank = rank,
                PlainDim = plain,
                RotaryDim = rotary,
            },
            Output = new LinearSpec(prefix + "o_proj", TensorRole.AttentionOutput, d.Hidden, d.Heads * value, bias),
        };
    }
}
