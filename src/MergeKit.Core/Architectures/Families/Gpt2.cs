namespace MergeKit.Core.Architectures.Families;

/// <summary>GPT-2: learned positions, linear layers stored [in, out], names with or without <c>transformer.</c>.</summary>
internal static class Gpt2
{
    public static Architecture Architecture { get; } = new(Describe)
    {
        Name = "GPT-2",
        ClassNames = ["GPT2LMHeadModel"],
        ModelType = "gpt2",
        LayerCountKey = "n_layer",
        IgnoredTensors = ["*.attn.bias", "*.attn.masked_bias"],
    };

    private static NetworkSpec Describe(ConfigReader config)
    {
        config.Understand("n_ctx", "reorder_and_upcast_attn");
        config.Only("add_cross_attention", "false");
        var (hidden, heads, vocabulary) = (config.Int("n_embd", 768), config.Int("n_head", 12), config.Int("vocab_size"));
        var (layers, positions) = (Decoder.ReadLayerCount(config, "n_layer"), config.Int("n_positions", 1024));
        var epsilon = config.Number("layer_norm_epsilon", 1e-5);
        var (inner, activation) = (config.Int("n_inner", checked(4 * hidden)), config.Activation("activation_function", "gelu_new"));
        var headDim = Decoder.Divide(config, hidden, heads);
        var scale = config.Flag("scale_attn_weights", true) ? 1 / Math.Sqrt(headDim) : 1;
        var byLayer = config.Flag("scale_attn_by_inverse_layer_idx", false);
        return new NetworkSpec
        {
            HiddenSize = hidden,
            VocabularySize = vocabulary,
            MaxLength = positions,
            OptionalPrefix = "transformer.",
            Embedding = new EmbeddingSpec
            {
                Tokens = new TensorSpec("transformer.wte.weight", TensorRole.Embedding, [vocabulary, hidden]),
                Positions = new TensorSpec("transformer.wpe.weight", TensorRole.PositionEmbedding, [positions, hidden]),
            },
            Layers = [.. Enumerable.Range(0, layers).Select(layer => Layer($"transformer.h.{layer}.", layer))],
            FinalNorm = Norm("transformer.ln_f"),
            Head = new HeadSpec
            {
                Output = new LinearSpec("lm_head", TensorRole.Head, vocabulary, hidden),
                TiedTo = "transformer.wte.weight",
                Tied = config.Flag("tie_word_embeddings", true),
            },
        };

        LayerSpec Layer(string prefix, int layer) => new()
        {
            AttentionNorm = Norm(prefix + "ln_1"),
            Attention = new AttentionSpec
            {
                Heads = heads,
                KvHeads = heads,
                HeadDim = headDim,
                ValueDim = headDim,
                Scale = (float)(byLayer ? scale / (layer + 1) : scale),
                Layout = QkvLayout.Concatenated,
                Qkv = [Linear(prefix + "attn.c_attn", TensorRole.AttentionQkv, 3 * hidden, hidden)],
                Output = Linear(prefix + "attn.c_proj", TensorRole.AttentionOutput, hidden, hidden),
            },
            MlpNorm = Norm(prefix + "ln_2"),
            Mlp = new MlpSpec
            {
                Activation = activation,
                Up = Linear(prefix + "mlp.c_fc", TensorRole.MlpUp, inner, hidden),
                Down = Linear(prefix + "mlp.c_proj", TensorRole.MlpDown, hidden, inner),
            },
        };

        NormSpec Norm(string name) => new(name, NormKind.Layer, hidden, epsilon) { HasBias = true };
    }

    private static LinearSpec Linear(string name, TensorRole role, int rows, int columns) =>
        new(name, role, rows, columns, HasBias: true) { StoredTransposed = true };
}
