namespace MergeKit.Core.Architectures.Families;

/// <summary>DeepSeek-V3 and R1 (arXiv 2412.19437): sigmoid routing with a correction bias for the choice.</summary>
internal static class DeepseekV3
{
    public static Architecture Architecture { get; } = new(Describe)
    {
        Name = "DeepSeek-V3",
        ClassNames = ["DeepseekV3ForCausalLM"],
        ModelType = "deepseek_v3",
        IgnoredTensors = ["*.rotary_emb.inv_freq", "*.eh_proj.*", "*.enorm.*", "*.hnorm.*", "*.shared_head.*"],
    };

    private static NetworkSpec Describe(ConfigReader config)
    {
        config.Only("scoring_func", "sigmoid");
        config.Only("topk_method", "noaux_tc");
        config.Understand("num_nextn_predict_layers");
        return DeepseekV2.Build(config, config.Flag("rope_interleave", true), new RoutingSpec
        {
            Experts = config.Int("n_routed_experts", 256),
            TopK = config.Int("num_experts_per_tok", 8),
            Scoring = RouterScoring.Sigmoid,
            Normalise = config.Flag("norm_topk_prob", true),
            Scale = (float)config.Number("routed_scaling_factor", 2.5),
            Groups = config.Int("n_group", 8),
            TopGroups = config.Int("topk_group", 4),
            Ranking = GroupRanking.SumOfBestTwo,
        }, hasCorrection: true);
    }
}
