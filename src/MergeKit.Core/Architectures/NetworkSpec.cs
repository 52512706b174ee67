namespace MergeKit.Core.Architectures;

/// <summary>What turns ids into the first hidden states.</summary>
public sealed record EmbeddingSpec
{
    /// <summary>Token table.</summary>
    public required TensorSpec Tokens { get; init; }

    /// <summary>Factor on the token's row.</summary>
    public float Scale { get; init; } = 1;

    /// <summary>Learned positions.</summary>
    public TensorSpec? Positions { get; init; }

    /// <summary>Where set to an id p, an id that is not p takes the row p + (number of ids up to it that are not p), and p itself row p (RoBERTa).</summary>
    public int? PositionsAfterPadding { get; init; }

    /// <summary>Token types (segments).</summary>
    public TensorSpec? TokenTypes { get; init; }

    /// <summary>Norm of the sum.</summary>
    public NormSpec? Norm { get; init; }
}

/// <summary>What turns the last hidden states into logits.</summary>
public sealed record HeadSpec
{
    /// <summary>The output matrix.</summary>
    public required LinearSpec Output { get; init; }

    /// <summary>The tensor that may stand in for it; null where the architecture never ties.</summary>
    public string? TiedTo { get; init; }

    /// <summary>Whether the configuration ties it.</summary>
    public bool Tied { get; init; }

    /// <summary>A second name of the bias, equal to it where stored.</summary>
    public string? BiasCopy { get; init; }

    /// <summary>Factor on the logits.</summary>
    public float Scale { get; init; } = 1;

    /// <summary>Logits l become c tanh(l / c).</summary>
    public float? Softcap { get; init; }

    /// <summary>Dense layer before the output matrix.</summary>
    public LinearSpec? Transform { get; init; }

    /// <summary>Pointwise function after <see cref="Transform"/>.</summary>
    public Activation TransformActivation { get; init; }

    /// <summary>Norm after <see cref="TransformActivation"/>.</summary>
    public NormSpec? TransformNorm { get; init; }
}

/// <summary>One transformer layer. Each sublayer is h += post(f(pre(h))), followed by h = residual(h) where that norm is set.</summary>
public sealed record LayerSpec
{
    /// <summary>Attention.</summary>
    public required AttentionSpec Attention { get; init; }

    /// <summary>Norm before attention.</summary>
    public NormSpec? AttentionNorm { get; init; }

    /// <summary>Norm of attention's output, before it is added.</summary>
    public NormSpec? AttentionPostNorm { get; init; }

    /// <summary>Norm of the sum after attention.</summary>
    public NormSpec? AttentionResidualNorm { get; init; }

    /// <summary>The feed-forward block; null where <see cref="Moe"/> stands.</summary>
    public MlpSpec? Mlp { get; init; }

    /// <summary>A mixture of experts.</summary>
    public MoeSpec? Moe { get; init; }

    /// <summary>Norm before the feed-forward block; null where it reads attention's normalised input (parallel) or the plain sum.</summary>
    public NormSpec? MlpNorm { get; init; }

    /// <summary>Norm of the feed-forward block's output, before it is added.</summary>
    public NormSpec? MlpPostNorm { get; init; }

    /// <summary>Norm of the sum after the feed-forward block.</summary>
    public NormSpec? MlpResidualNorm { get; init; }

    /// <summary>Whether both sublayers read the layer's input.</summary>
    public bool Parallel { get; init; }
}

/// <summary>A whole network as a configuration describes it: facts only, read by merging and by the forward pass.</summary>
public sealed record NetworkSpec
{
    /// <summary>Width of the residual stream.</summary>
    public required int HiddenSize { get; init; }

    /// <summary>Rows of the embedding and of the output matrix.</summary>
    public required int VocabularySize { get; init; }

    /// <summary>The most positions a sequence may have.</summary>
    public required int MaxLength { get; init; }

    /// <summary>Ids to hidden states.</summary>
    public required EmbeddingSpec Embedding { get; init; }

    /// <summary>The layers in order.</summary>
    public required IReadOnlyList<LayerSpec> Layers { get; init; }

    /// <summary>Norm after the last layer.</summary>
    public NormSpec? FinalNorm { get; init; }

    /// <summary>Hidden states to logits.</summary>
    public required HeadSpec Head { get; init; }

    /// <summary>Whether a position sees only itself and what came before; false for encoders.</summary>
    public bool Causal { get; init; } = true;

    /// <summary>A prefix of all names but the head's that checkpoints may leave out.</summary>
    public string? OptionalPrefix { get; init; }

    /// <summary>Whether rotary tables depend on the length of the sequence.</summary>
    public bool RotaryDependsOnLength => Layers.Any(layer => layer.Attention.Rope?.DependsOnLength == true);
}
