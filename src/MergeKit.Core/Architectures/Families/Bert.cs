namespace MergeKit.Core.Architectures.Families;

/// <summary>BERT with its masked-language-model head (arXiv 1810.04805).</summary>
internal static class Bert
{
    public static Architecture Architecture { get; } = new(Describe)
    {
        Name = "BERT",
        ClassNames = ["BertForMaskedLM", "BertForPreTraining"],
        ModelType = "bert",
        IsEncoder = true,
        IgnoredTensors = ["bert.pooler.*", "pooler.*", "cls.seq_relationship.*", "*embeddings.position_ids"],
    };

    private static NetworkSpec Describe(ConfigReader config)
    {
        config.Understand(
            "directionality", "pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers", "pooler_size_per_head", "pooler_type");
        var encoder = new Encoder(config, "bert.", defaultPositions: 512, defaultTypes: 2);
        return encoder.Network(new HeadSpec
        {
            Transform = new LinearSpec("cls.predictions.transform.dense", TensorRole.HeadTransform, encoder.Hidden, encoder.Hidden, HasBias: true),
            TransformActivation = encoder.Activation,
            TransformNorm = encoder.Norm("cls.predictions.transform.LayerNorm"),
            Output = encoder.Decoder("cls.predictions.decoder", "cls.predictions.bias"),
            BiasCopy = "cls.predictions.decoder.bias",
            TiedTo = "bert.embeddings.word_embeddings.weight",
            Tied = config.Flag("tie_word_embeddings", true),
        });
    }
}
