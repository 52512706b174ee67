using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;

namespace MergeKit.Core.Merging.Planning;

/// <summary>What can be said of an unknown architecture from its tensors' names: layers, embedding, head.</summary>
internal static class InferredLayout
{
    private static readonly string[] EmbeddingWords = ["embed_tokens", "wte", "word_embeddings", "tok_embeddings", "embed_in"];
    private static readonly string[] HeadWords = ["lm_head", "embed_out"];
    private static readonly string[] EndWords = [.. HeadWords, "norm", "ln_f", "output", "head", "score", "classifier", "final"];

    /// <summary>The stored tensors as declarations: those before the layers, layer by layer, those after; a head may be tied to the embedding.</summary>
    public static IReadOnlyList<WeightSpec> Weights(Checkpoint checkpoint, ModelConfig config)
    {
        var embedding = checkpoint.Tensors.FirstOrDefault(tensor => Has(tensor.Name, EmbeddingWords) && tensor.Shape.Count == 2)?.Name;
        var tied = config.Json["tie_word_embeddings"]?.GetValueKind() == System.Text.Json.JsonValueKind.True;
        var specs = checkpoint.Tensors.Select(tensor => Describe(tensor, embedding, tied))
            .OrderBy(spec => spec.Layer is not null ? 1 : Has(spec.Name, EndWords) ? 2 : 0)
            .ThenBy(spec => spec.Layer ?? 0)
            .ThenBy(spec => spec.Role == TensorRole.Head)
            .ToList();
        if (tied && embedding is not null && specs.TrueForAll(spec => spec.Role != TensorRole.Head))
            specs.Add(new WeightSpec("lm_head.weight", TensorRole.Head, Optional: true, TiedTo: embedding));
        return specs;
    }

    private static WeightSpec Describe(TensorInfo tensor, string? embedding, bool tied)
    {
        var layer = LayerName.Parse(tensor.Name).Layer;
        if (layer is null && tensor.Name == embedding)
            return new WeightSpec(tensor.Name, TensorRole.Embedding);
        var isHead = layer is null && Has(tensor.Name, HeadWords) && tensor.Shape.Count == 2;
        return new WeightSpec(tensor.Name, isHead ? TensorRole.Head : TensorRole.Other, layer, Optional: isHead, TiedTo: isHead && (tied || embedding is not null) ? embedding : null);
    }

    private static bool Has(string name, string[] words) => words.Any(word => name.Contains(word, StringComparison.Ordinal));
}
