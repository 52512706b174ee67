using MergeKit.Core.Architectures;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Backends;

/// <summary>A norm and its weights, offset included.</summary>
/// <param name="Spec">How it is computed.</param>
/// <param name="Weight">Spec.Size weights.</param>
/// <param name="Bias">Spec.Size biases; empty for none.</param>
public sealed record NormWeights(NormSpec Spec, float[] Weight, float[] Bias);

/// <summary>The tables of the embedding.</summary>
/// <param name="Spec">How they are used.</param>
/// <param name="Tokens">[vocabulary, hidden].</param>
/// <param name="Positions">[positions, hidden].</param>
/// <param name="TokenTypes">[types, hidden].</param>
/// <param name="Norm">Norm of the sum.</param>
public sealed record EmbeddingWeights(EmbeddingSpec Spec, WeightTensor Tokens, WeightTensor? Positions, WeightTensor? TokenTypes, NormWeights? Norm);

/// <summary>The matrices of an attention.</summary>
/// <param name="Spec">How they are used.</param>
/// <param name="Qkv">Queries, keys and values; for latent attention null.</param>
/// <param name="Latent">The matrices of latent attention.</param>
/// <param name="Output">The output matrix.</param>
/// <param name="QueryNorm">Norm of the queries.</param>
/// <param name="KeyNorm">Norm of the keys.</param>
/// <param name="Sinks">One logit per head.</param>
public sealed record AttentionWeights(
    AttentionSpec Spec, IMatrix? Qkv, LatentWeights? Latent, IMatrix Output, NormWeights? QueryNorm, NormWeights? KeyNorm, float[]? Sinks);

/// <summary>The matrices of latent attention.</summary>
/// <param name="QueryDown">Hidden to query latent.</param>
/// <param name="QueryNorm">Norm of the query latent.</param>
/// <param name="QueryUp">To queries.</param>
/// <param name="KeyValueDown">Hidden to key-value latent and rotary key.</param>
/// <param name="KeyValueNorm">Norm of the key-value latent.</param>
/// <param name="KeyValueUp">To keys and values.</param>
public sealed record LatentWeights(
    IMatrix? QueryDown, NormWeights? QueryNorm, IMatrix QueryUp, IMatrix KeyValueDown, NormWeights KeyValueNorm, IMatrix KeyValueUp);

/// <summary>How gate and up meet.</summary>
public enum GateKind
{
    /// <summary>There is no gate: act(up).</summary>
    None,

    /// <summary>Columns are [gate | up]: act(gate) x up.</summary>
    Halves,

    /// <summary>Columns alternate gate, up.</summary>
    Interleaved,
}

/// <summary>A feed-forward block.</summary>
/// <param name="Activation">Its pointwise function.</param>
/// <param name="Gate">How gate and up meet.</param>
/// <param name="ClampedLimit">Where set, the clamped gate of gpt-oss with this limit.</param>
/// <param name="Input">Gate and up, or up alone.</param>
/// <param name="Down">Down.</param>
/// <param name="Intermediate">Width between.</param>
public sealed record MlpWeights(Activation Activation, GateKind Gate, float? ClampedLimit, IMatrix Input, IMatrix Down, int Intermediate);

/// <summary>A mixture of experts.</summary>
/// <param name="Routing">The rule of choice.</param>
/// <param name="Router">[experts, hidden].</param>
/// <param name="Correction">Added to scores for the choice only.</param>
/// <param name="Experts">The experts.</param>
/// <param name="Shared">An expert that every token visits.</param>
/// <param name="SharedGate">[1, hidden].</param>
public sealed record MoeWeights(
    RoutingSpec Routing, IMatrix Router, float[]? Correction, IReadOnlyList<MlpWeights> Experts, MlpWeights? Shared, IMatrix? SharedGate);

/// <summary>One layer.</summary>
/// <param name="Spec">Its form.</param>
/// <param name="Attention">Attention.</param>
/// <param name="Mlp">Feed-forward block.</param>
/// <param name="Moe">Mixture of experts in its place.</param>
/// <param name="AttentionNorm">See <see cref="LayerSpec.AttentionNorm"/>.</param>
/// <param name="AttentionPostNorm">See <see cref="LayerSpec.AttentionPostNorm"/>.</param>
/// <param name="AttentionResidualNorm">See <see cref="LayerSpec.AttentionResidualNorm"/>.</param>
/// <param name="MlpNorm">See <see cref="LayerSpec.MlpNorm"/>.</param>
/// <param name="MlpPostNorm">See <see cref="LayerSpec.MlpPostNorm"/>.</param>
/// <param name="MlpResidualNorm">See <see cref="LayerSpec.MlpResidualNorm"/>.</param>
public sealed record LayerWeights(
    LayerSpec Spec, AttentionWeights Attention, MlpWeights? Mlp, MoeWeights? Moe, NormWeights? AttentionNorm, NormWeights? AttentionPostNorm,
    NormWeights? AttentionResidualNorm, NormWeights? MlpNorm, NormWeights? MlpPostNorm, NormWeights? MlpResidualNorm);

/// <summary>The head.</summary>
/// <param name="Spec">Its form.</param>
/// <param name="Output">[vocabulary, hidden].</param>
/// <param name="Transform">Dense layer before it.</param>
/// <param name="TransformNorm">Norm after that.</param>
public sealed record HeadWeights(HeadSpec Spec, IMatrix Output, IMatrix? Transform, NormWeights? TransformNorm);

/// <summary>All weights of a network, bound to a backend.</summary>
/// <param name="Spec">The network.</param>
/// <param name="Embedding">Ids to hidden states.</param>
/// <param name="Layers">The layers.</param>
/// <param name="FinalNorm">Norm after the last layer.</param>
/// <param name="Head">Hidden states to logits.</param>
public sealed record NetworkWeights(
    NetworkSpec Spec, EmbeddingWeights Embedding, IReadOnlyList<LayerWeights> Layers, NormWeights? FinalNorm, HeadWeights Head);

/// <summary>The experts that a batch visited in one layer.</summary>
public sealed class RouterChoice
{
    /// <summary>Experts per token.</summary>
    public int TopK { get; private set; }

    /// <summary>[tokens, TopK] experts by falling weight.</summary>
    public int[] Experts { get; private set; } = [];

    /// <summary>[tokens, TopK] weights as they multiply the experts' outputs.</summary>
    public float[] Weights { get; private set; } = [];

    internal void Set(int topK, int[] experts, float[] weights) => (TopK, Experts, Weights) = (topK, experts, weights);
}
