using MergeKit.Core.Evaluation;
using MergeKit.Core.Merging.Planning.Vocabulary;
using MergeKit.Core.Moe.Routers;

namespace MergeKit.Core.Reports;

/// <summary>How far one part of a merged model is from its base.</summary>
/// <param name="Layer">The layer, as it is called in a table: <c>0</c>, <c>1</c>, <c>embeddings</c>.</param>
/// <param name="Component">The part of the layer: <c>q_proj</c>, <c>mlp.up_proj</c>.</param>
/// <param name="RelativeNorm">|merged - base| / |base|, Frobenius.</param>
/// <param name="SignConflict">The share of entries, 0 to 1, where the task vectors of the sources disagree in sign.</param>
public sealed record LayerDelta(string Layer, string Component, double RelativeNorm, double SignConflict);

/// <summary>What a run has to show: evaluation results, and where a merge changed the model.</summary>
/// <param name="Title">The heading.</param>
/// <param name="Result">Results and comparisons; null when nothing was evaluated.</param>
/// <param name="Layers">Changes by layer and component; empty when there was no merge.</param>
/// <param name="Notes">Remarks and warnings, one paragraph each.</param>
public sealed record EvaluationReport(string Title, EvaluationResult? Result, IReadOnlyList<LayerDelta> Layers, IReadOnlyList<string> Notes)
{
    /// <summary>What became of the vocabulary; null where the merge left it alone.</summary>
    public VocabularyReport? Vocabulary { get; init; }

    /// <summary>What the routers of a mixture do; empty for other models.</summary>
    public IReadOnlyList<RouterReport> Routers { get; init; } = [];

    /// <summary>Whether all models have equal tokenizers, so that figures per token may be compared.</summary>
    public bool OneTokenizer => Result is null || Result.Results.Select(result => result.TokenizerId).Distinct(StringComparer.Ordinal).Count() == 1;
}
