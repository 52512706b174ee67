namespace MergeKit.Core.Architectures;

/// <summary>Where queries, keys and values lie in the output of their projection.</summary>
public enum QkvLayout
{
    /// <summary>Three matrices.</summary>
    Separate,

    /// <summary>All query heads, all key heads, all value heads.</summary>
    Concatenated,

    /// <summary>For each key-value head: its query heads, its key head, its value head.</summary>
    GroupedByKvHead,
}

/// <summary>Latent attention (DeepSeek-V2, arXiv 2405.04434): keys and values are projections of one small latent per token.</summary>
public sealed record LatentSpec
{
    /// <summary>Hidden to query latent; null where queries come straight from the hidden state.</summary>
    public LinearSpec? QueryDown { get; init; }

    /// <summary>Norm of the query latent.</summary>
    public NormSpec? QueryNorm { get; init; }

    /// <summary>Query latent (or hidden) to queries, per head [without rotary | rotary].</summary>
    public required LinearSpec QueryUp { get; init; }

    /// <summary>Hidden to [key-value latent | rotary key shared by the heads].</summary>
    public required LinearSpec KeyValueDown { get; init; }

    /// <summary>Norm of the key-value latent.</summary>
    public required NormSpec KeyValueNorm { get; init; }

    /// <summary>Key-value latent to, per head, [key without rotary | value].</summary>
    public required LinearSpec KeyValueUp { get; init; }

    /// <summary>Width of the key-value latent.</summary>
    public required int Rank { get; init; }

    /// <summary>Part of a head's query and key that is not rotated.</summary>
    public required int PlainDim { get; init; }

    /// <summary>Part of a head's query and key that is rotated.</summary>
    public required int RotaryDim { get; init; }
}

/// <summary>A self-attention block.</summary>
public sealed record AttentionSpec
{
    /// <summary>Query heads.</summary>
    public required int Heads { get; init; }

    /// <summary>Key-value heads; a divisor of <see cref="Heads"/>.</summary>
    public required int KvHeads { get; init; }

    /// <summary>Width of a query or key head.</summary>
    public required int HeadDim { get; init; }

    /// <summary>Width of a value head.</summary>
    public required int ValueDim { get; init; }

    /// <summary>Factor on query-key products.</summary>
    public required float Scale { get; init; }

    /// <summary>How the projections' outputs lie.</summary>
    public QkvLayout Layout { get; init; }

    /// <summary>Query, key and value matrices, or one that holds all; empty for latent attention.</summary>
    public IReadOnlyList<LinearSpec> Qkv { get; init; } = [];

    /// <summary>Latent attention's matrices; null for plain attention.</summary>
    public LatentSpec? Latent { get; init; }

    /// <summary>Output matrix.</summary>
    public required LinearSpec Output { get; init; }

    /// <summary>Norm of the queries, before rotation.</summary>
    public NormSpec? QueryNorm { get; init; }

    /// <summary>Norm of the keys, before rotation.</summary>
    public NormSpec? KeyNorm { get; init; }

    /// <summary>Rotary position embedding; null for a layer without one.</summary>
    public RopeSpec? Rope { get; init; }

    /// <summary>Keys seen by a query, itself included; null for all before it.</summary>
    public int? Window { get; init; }

    /// <summary>Scores s become c tanh(s / c).</summary>
    public float? Softcap { get; init; }

    /// <summary>One logit per head that takes part in the softmax's denominator only.</summary>
    public TensorSpec? Sinks { get; init; }

    /// <summary>Slope per head of a bias that grows with the key's position (ALiBi, arXiv 2108.12409).</summary>
    public IReadOnlyList<float>? AlibiSlopes { get; init; }
}
