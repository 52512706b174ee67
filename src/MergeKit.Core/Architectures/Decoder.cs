using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Architectures;

/// <summary>The facts that most decoder configurations share, and the blocks that most decoders are made of.</summary>
internal sealed class Decoder
{
    private const int MaxLayers = 4096;
    private const long MaxWidth = 1 << 28;
    private const long DynamicReach = 16;

    /// <summary>Reads the common keys.</summary>
    /// <param name="config">The configuration.</param>
    /// <param name="epsilonKey">The key of the norms' epsilon.</param>
    /// <param name="epsilon">Its default.</param>
    /// <param name="kvHeads">Key-value heads where none are given; the number of heads by default.</param>
    /// <param name="headDim">Width of a head where none is given; hidden / heads by default.</param>
    /// <param name="maxPositions">Length where none is given.</param>
    public Decoder(
        ConfigReader config, string epsilonKey = "rms_norm_eps", double epsilon = 1e-6, int? kvHeads = null, int? headDim = null,
        int maxPositions = 2048)
    {
        Config = config;
        Hidden = config.Int("hidden_size");
        LayerCount = ReadLayerCount(config, "num_hidden_layers");
        Heads = config.Int("num_attention_heads");
        KvHeads = config.Int("num_key_value_heads", kvHeads ?? Heads);
        HeadDim = config.OptionalInt("head_dim") ?? headDim ?? Divide(config, Hidden, Heads);
        Vocabulary = config.Int("vocab_size");
        MaxPositions = config.Int("max_position_embeddings", maxPositions);
        Epsilon = config.Number(epsilonKey, epsilon);
        if (Heads % KvHeads != 0)
            throw config.Wrong("num_key_value_heads", $"a divisor of num_attention_heads ({Heads}) is wanted");
        CheckWidth("head_dim", Heads, HeadDim);
    }

    public ConfigReader Config { get; }

    public int Hidden { get; }

    public int LayerCount { get; }

    public int Heads { get; }

    public int KvHeads { get; }

    public int HeadDim { get; }

    public int Vocabulary { get; }

    public int MaxPositions { get; }

    public double Epsilon { get; }

    /// <summary>Fails where a product of two sizes is beyond any matrix that can be addressed.</summary>
    public void CheckWidth(string key, long count, long size)
    {
        if (count * size > MaxWidth)
            throw Config.Wrong(key, $"{count} x {size} is too wide: at most {MaxWidth} is supported");
    }

    /// <summary>The number of layers, in bounds.</summary>
    public static int ReadLayerCount(ConfigReader config, string key)
    {
        var count = config.Int(key);
        count = config.LayerOverride ?? count;
        return count <= MaxLayers ? count : throw config.Wrong(key, $"at most {MaxLayers} layers are supported");
    }

    /// <summary>hidden / heads, which must be whole.</summary>
    public static int Divide(ConfigReader config, int hidden, int heads) => hidden % heads == 0
        ? hidden / heads
        : throw new InputException($"{config.File}: the hidden size {hidden} is not a multiple of the {heads} attention heads");

    /// <summary>Root-mean-square norm of the hidden width.</summary>
    public NormSpec Rms(string name, float offset = 0) => new(name, NormKind.Rms, Hidden, Epsilon) { WeightOffset = offset };

    /// <summary>Root-mean-square norm over each head, or over what one vector of weights spans.</summary>
    public NormSpec RmsOf(string name, int size, float offset = 0) => new(name, NormKind.Rms, size, Epsilon) { WeightOffset = offset };

    /// <summary>Layer norm of the hidden width.</summary>
    public NormSpec LayerNorm(string name, bool bias = true) => new(name, NormKind.Layer, Hidden, Epsilon) { HasBias = bias };

    /// <summary>Attention with separate q, k and v matrices.</summary>
    public AttentionSpec Attention(string prefix, RopeSpec? rope, bool qkvBias = false, bool outBias = false, string output = "o_proj") => new()
    {
        Heads = Heads,
        KvHeads = KvHeads,
        HeadDim = HeadDim,
        ValueDim = HeadDim,
        Scale = (float)(1 / Math.Sqrt(HeadDim)),
        Rope = rope,
        Qkv =
        [
            new LinearSpec(prefix + "q_proj", TensorRole.AttentionQuery, Heads * HeadDim, Hidden, qkvBias),
            new LinearSpec(prefix + "k_proj", TensorRole.AttentionKey, KvHeads * HeadDim, Hidden, qkvBias),
            new LinearSpec(prefix + "v_proj", TensorRole.AttentionValue, KvHeads * HeadDim, Hidden, qkvBias),
        ],
        Output = new LinearSpec(prefix + output, TensorRole.AttentionOutput, Hidden, Heads * HeadDim, outBias),
    };

    /// <summary>One matrix to queries, keys and values.</summary>
    public LinearSpec Fused(string name, int kvHeads, bool bias) => new(name, TensorRole.AttentionQkv, (Heads + 2 * kvHeads) * HeadDim, Hidden, bias);

    /// <summary>Gated MLP with gate_proj, up_proj and down_proj.</summary>
    public MlpSpec Gated(string prefix, int intermediate, Activation activation, bool bias = false) => new()
    {
        Activation = activation,
        Gate = new LinearSpec(prefix + "gate_proj", TensorRole.MlpGate, intermediate, Hidden, bias),
        Up = new LinearSpec(prefix + "up_proj", TensorRole.MlpUp, intermediate, Hidden, bias),
        Down = new LinearSpec(prefix + "down_proj", TensorRole.MlpDown, Hidden, intermediate, bias),
    };

    /// <summary>MLP of two matrices.</summary>
    public MlpSpec Plain(string up, string down, int intermediate, Activation activation, bool bias) => new()
    {
        Activation = activation,
        Up = new LinearSpec(up, TensorRole.MlpUp, intermediate, Hidden, bias),
        Down = new LinearSpec(down, TensorRole.MlpDown, Hidden, intermediate, bias),
    };

    /// <summary>Attention kind of each layer by <c>layer_types</c>, or by the architecture's rule where that is absent.</summary>
    public bool[] SlidingLayers(Func<int, bool> rule)
    {
        var types = Config.Texts("layer_types");
        if (types is not null && types.Count != LayerCount && Config.LayerOverride is null)
            throw Config.Wrong("layer_types", $"one entry for each of the {LayerCount} layers is wanted");
        return [.. Enumerable.Range(0, LayerCount).Select(layer => types is null || layer >= types.Count ? rule(layer) : types[layer] switch
        {
            "sliding_attention" => true,
            "full_attention" => false,
            _ => throw Config.Wrong("layer_types", "only full_attention and sliding_attention are known"),
        })];
    }

    /// <summary>Rotary embedding over the heads.</summary>
    public RopeSpec Rope(double theta = 10000, string? layerType = null, double partial = 1, bool ignoreScaling = false) =>
        RopeReader.Read(Config, HeadDim, MaxPositions, Config.Number("rope_theta", theta), layerType, partial, ignoreScaling);

    /// <summary>The network around the layers.</summary>
    public NetworkSpec Network(
        Func<int, LayerSpec> layer, NormSpec finalNorm, bool tiedByDefault = false, string embedding = "model.embed_tokens.weight",
        string head = "lm_head", bool headBias = false)
    {
        var layers = Enumerable.Range(0, LayerCount).Select(layer).ToList();
        return new NetworkSpec
        {
            HiddenSize = Hidden,
            VocabularySize = Vocabulary,
            MaxLength = Length(layers),
            Embedding = new EmbeddingSpec { Tokens = new TensorSpec(embedding, TensorRole.Embedding, [Vocabulary, Hidden]) },
            Layers = layers,
            FinalNorm = finalNorm,
            Head = new HeadSpec
            {
                Output = new LinearSpec(head, TensorRole.Head, Vocabulary, Hidden, headBias),
                TiedTo = embedding,
                Tied = Config.Flag("tie_word_embeddings", tiedByDefault),
            },
        };
    }

    /// <summary>The configured length; YaRN's factor times the trained length where that is more; sixteen times it where the base grows
    /// with the sequence, which has no length of its own.</summary>
    private int Length(List<LayerSpec> layers)
    {
        var ropes = layers.Select(layer => layer.Attention.Rope).OfType<RopeSpec>().ToList();
        if (ropes.Any(rope => rope.Scaling == RopeScaling.DynamicNtk))
            return (int)Math.Min(int.MaxValue, DynamicReach * MaxPositions);
        var yarn = ropes.Where(rope => rope.Scaling == RopeScaling.Yarn);
        var stretched = yarn.Select(rope => (long)(rope.OriginalLength * rope.Factor)).DefaultIfEmpty(0).Max();
        return (int)Math.Min(int.MaxValue, Math.Max(MaxPositions, stretched));
    }
}
