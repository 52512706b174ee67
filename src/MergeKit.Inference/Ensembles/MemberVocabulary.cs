using MergeKit.Core.Diagnostics;
using MergeKit.Core.Ensembles;
using MergeKit.Core.Ensembles.Vocabularies;
using MergeKit.Core.Models;
using MergeKit.Core.Recipes;
using MergeKit.Core.Tokenization;

namespace MergeKit.Inference.Ensembles;

/// <summary>The members of an ensemble over one vocabulary.</summary>
/// <param name="Places">One model per place of the rule.</param>
/// <param name="Size">Ids of the combined law; null: those of the members.</param>
/// <param name="PivotPlace">The place of the member whose tokens count.</param>
/// <param name="Encoder">Text to ids.</param>
/// <param name="TokenizerId">Equal for equal ids.</param>
/// <param name="Tokenizer">The tokenizer, where all ids are its own.</param>
/// <param name="Folder">The folder with chat template and generation settings.</param>
internal sealed record MemberVocabulary(
    IReadOnlyList<ILanguageModel> Places, int Size, int PivotPlace, ITextEncoder Encoder, string TokenizerId, Tokenizer? Tokenizer, string? Folder)
{
    /// <summary>For <c>topk_union</c>: per place the ids of the member's own tokens in the order of its ids.</summary>
    public IReadOnlyList<int[]> Own { get; init; } = [];

    /// <summary>What can be said after use.</summary>
    public Func<IEnumerable<Problem>> Remarks { get; init; } = () => [];

    /// <summary>The rule of <c>topk_union</c>, which is a mixture.</summary>
    /// <exception cref="InputException">The recipe has another rule.</exception>
    public ICombiner TopKUnion(IReadOnlyList<double> weights, EnsembleRecipe recipe) => recipe.Rule.Name == "linear"
        ? new TopKUnionCombiner(weights, recipe.Vocabulary.TopK, Own)
        : throw new InputException([Problem.Error($"vocabulary mode 'topk_union' is a mixture and goes with 'ensemble: linear', not '{recipe.Rule.Name}'", recipe.Vocabulary.Location)]);
}
