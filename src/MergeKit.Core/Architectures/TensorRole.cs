namespace MergeKit.Core.Architectures;

/// <summary>What a tensor is for in a transformer.</summary>
public enum TensorRole
{
    /// <summary>Token embedding table, [vocabulary, hidden].</summary>
    Embedding,

    /// <summary>Learned absolute positions, [positions, hidden].</summary>
    PositionEmbedding,

    /// <summary>Segment (token type) embedding, [types, hidden].</summary>
    TokenTypeEmbedding,

    /// <summary>Weight of a layer or RMS norm, that of queries and keys included.</summary>
    Norm,

    /// <summary>Query projection.</summary>
    AttentionQuery,

    /// <summary>Key projection.</summary>
    AttentionKey,

    /// <summary>Value projection.</summary>
    AttentionValue,

    /// <summary>Output projection of attention.</summary>
    AttentionOutput,

    /// <summary>Queries, keys and values in one matrix.</summary>
    AttentionQkv,

    /// <summary>Latent attention: hidden to query latent.</summary>
    AttentionQueryDown,

    /// <summary>Latent attention: query latent to queries.</summary>
    AttentionQueryUp,

    /// <summary>Latent attention: hidden to key-value latent and rotary key.</summary>
    AttentionKeyValueDown,

    /// <summary>Latent attention: key-value latent to keys and values.</summary>
    AttentionKeyValueUp,

    /// <summary>One logit per head that takes part in the softmax without a value.</summary>
    AttentionSinks,

    /// <summary>Gate projection of a gated MLP.</summary>
    MlpGate,

    /// <summary>Up projection of an MLP.</summary>
    MlpUp,

    /// <summary>Gate and up in one matrix.</summary>
    MlpGateUp,

    /// <summary>Down projection of an MLP.</summary>
    MlpDown,

    /// <summary>Router of a mixture of experts, [experts, hidden].</summary>
    Router,

    /// <summary>Bias on the routing scores that only steers the choice.</summary>
    RouterCorrection,

    /// <summary>Gate projection of an expert.</summary>
    ExpertGate,

    /// <summary>Up projection of an expert.</summary>
    ExpertUp,

    /// <summary>Down projection of an expert.</summary>
    ExpertDown,

    /// <summary>Gate and up of all experts in one tensor.</summary>
    ExpertGateUp,

    /// <summary>Gate projection of an expert that every token visits.</summary>
    SharedExpertGate,

    /// <summary>Up projection of an expert that every token visits.</summary>
    SharedExpertUp,

    /// <summary>Down projection of an expert that every token visits.</summary>
    SharedExpertDown,

    /// <summary>Scalar gate on the shared expert's output, [1, hidden].</summary>
    SharedExpertRouter,

    /// <summary>Any additive bias.</summary>
    Bias,

    /// <summary>Output matrix to the vocabulary, [vocabulary, hidden].</summary>
    Head,

    /// <summary>Dense layer before the output matrix (masked language models).</summary>
    HeadTransform,

    /// <summary>Anything else.</summary>
    Other,
}
