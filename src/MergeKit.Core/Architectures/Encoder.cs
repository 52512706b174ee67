namespace MergeKit.Core.Architectures;

/// <summary>The blocks that BERT and its descendants share: norms after each residual sum, learned positions, token types.</summary>
internal sealed class Encoder
{
    private readonly ConfigReader _config;
    private readonly string _prefix;
    private readonly int _heads, _intermediate, _layers, _positions, _types;
    private readonly double _epsilon;

    public Encoder(ConfigReader config, string prefix, int defaultPositions, int defaultTypes)
    {
        config.Only("position_embedding_type", "absolute");
        config.Only("is_decoder", "false");
        config.Only("add_cross_attention", "false");
        (_config, _prefix) = (config, prefix);
        (Hidden, _heads, Vocabulary) = (config.Int("hidden_size"), config.Int("num_attention_heads"), config.Int("vocab_size"));
        (_intermediate, _layers) = (config.Int("intermediate_size"), Architectures.Decoder.ReadLayerCount(config, "num_hidden_layers"));
        (_positions, _types) = (config.Int("max_position_embeddings", defaultPositions), config.Int("type_vocab_size", defaultTypes));
        _epsilon = config.Number("layer_norm_eps", 1e-12);
        Activation = config.Activation("hidden_act", "gelu");
    }

    public int Hidden { get; }

    public int Vocabulary { get; }

    public Activation Activation { get; }

    /// <summary>Layer norm of the hidden width.</summary>
    public NormSpec Norm(string name) => new(name, NormKind.Layer, Hidden, _epsilon) { HasBias = true, GammaBeta = true };

    /// <summary>The output matrix to the vocabulary.</summary>
    public LinearSpec Decoder(string name, string bias) => new(name, TensorRole.Head, Vocabulary, Hidden, HasBias: true) { BiasName = bias };

    /// <summary>The network under a head.</summary>
    public NetworkSpec Network(HeadSpec head) => new()
    {
        HiddenSize = Hidden,
        VocabularySize = Vocabulary,
        MaxLength = _positions,
        Causal = false,
        OptionalPrefix = _prefix,
        Embedding = new EmbeddingSpec
        {
            Tokens = new TensorSpec(_prefix + "embeddings.word_embeddings.weight", TensorRole.Embedding, [Vocabulary, Hidden]),
            Positions = new TensorSpec(_prefix + "embeddings.position_embeddings.weight", TensorRole.PositionEmbedding, [_positions, Hidden]),
            TokenTypes = new TensorSpec(_prefix + "embeddings.token_type_embeddings.weight", TensorRole.TokenTypeEmbedding, [_types, Hidden]),
            Norm = Norm(_prefix + "embeddings.LayerNorm"),
        },
        Layers = [.. Enumerable.Range(0, _layers).Select(layer => Layer($"{_prefix}encoder.layer.{layer}."))],
        Head = head,
    };

    private LayerSpec Layer(string prefix)
    {
        var headDim = Architectures.Decoder.Divide(_config, Hidden, _heads);
        return new LayerSpec
        {
            Attention = new AttentionSpec
            {
                Heads = _heads,
                KvHeads = _heads,
                HeadDim = headDim,
                ValueDim = headDim,
                Scale = (float)(1 / Math.Sqrt(headDim)),
                Qkv =
                [
                    new LinearSpec(prefix + "attention.self.query", TensorRole.AttentionQuery, Hidden, Hidden, HasBias: true),
                    new LinearSpec(prefix + "attention.self.key", TensorRole.AttentionKey, Hidden, Hidden, HasBias: true),
                    new LinearSpec(prefix + "attention.self.value", TensorRole.AttentionValue, Hidden, Hidden, HasBias: true),
                ],
                Output = new LinearSpec(prefix + "attention.output.dense", TensorRole.AttentionOutput, Hidden, Hidden, HasBias: true),
            },
            AttentionResidualNorm = Norm(prefix + "attention.output.LayerNorm"),
            Mlp = new MlpSpec
            {
                Activation = Activation,
                Up = new LinearSpec(prefix + "intermediate.dense", TensorRole.MlpUp, _intermediate, Hidden, HasBias: true),
                Down = new LinearSpec(prefix + "output.dense", TensorRole.MlpDown, Hidden, _intermediate, HasBias: true),
            },
            MlpResidualNorm = Norm(prefix + "output.LayerNorm"),
        };
    }
}
