namespace MergeKit.Core.Architectures.Families;

/// <summary>RoBERTa with its masked-language-model head (arXiv 1907.11692): positions count from after the padding id.</summary>
internal static class Roberta
{
    public static Architecture Architecture { get; } = new(Describe)
    {
        Name = "RoBERTa",
        ClassNames = ["RobertaForMaskedLM"],
        ModelType = "roberta",
        IsEncoder = true,
        IgnoredTensors = ["roberta.pooler.*", "pooler.*", "*embeddings.position_ids"],
    };

    private static NetworkSpec Describe(ConfigReader config)
    {
        var encoder = new Encoder(config, "roberta.", defaultPositions: 512, defaultTypes: 2);
        var padding = config.Int("pad_token_id", 1, least: 0);
        var network = encoder.Network(new HeadSpec
        {
            Transform = new LinearSpec("lm_head.dense", TensorRole.HeadTransform, encoder.Hidden, encoder.Hidden, HasBias: true),
            TransformActivation = Activation.Gelu,
            TransformNorm = encoder.Norm("lm_head.layer_norm"),
            Output = encoder.Decoder("lm_head.decoder", "lm_head.bias"),
            BiasCopy = "lm_head.decoder.bias",
            TiedTo = "roberta.embeddings.word_embeddings.weight",
            Tied = config.Flag("tie_word_embeddings", true),
        });
        if (network.MaxLength <= padding + 1)
            throw config.Wrong("max_position_embeddings", $"more than pad_token_id + 1 = {padding + 1} is wanted");
        return network with { MaxLength = network.MaxLength - padding - 1, Embedding = network.Embedding with { PositionsAfterPadding = padding } };
    }
}
