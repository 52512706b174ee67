using MergeKit.Core.Diagnostics;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Recipes;

/// <summary>Which of the three spellings of the inputs the user chose.</summary>
public enum RecipeForm
{
    /// <summary><c>models:</c>, all layers of each model.</summary>
    Models,

    /// <summary><c>slices:</c>, runs of layers stacked on each other.</summary>
    Slices,

    /// <summary><c>modules:</c>, one of the above per module of the architecture.</summary>
    Modules,
}

/// <summary>One merge as the user wrote it: immutable, checked for shape and spelling, nothing on disk looked at yet.</summary>
/// <param name="File">The file it came from, as the user named it.</param>
/// <param name="Name">The document's name, by which other documents of the file may use its result as a model.</param>
/// <param name="MergeMethod">The method's name, not yet looked up.</param>
/// <param name="MethodLocation">Where the method is named.</param>
/// <param name="BaseModel">The common ancestor of the fine-tunes, or slerp's first end.</param>
/// <param name="Modules">What to merge; exactly one module called <see cref="RecipeModule.DefaultName"/> for <c>models:</c> and <c>slices:</c>.</param>
/// <param name="Parameters">The outermost level of parameters.</param>
/// <param name="DType">The type that every tensor is converted to when it is read.</param>
/// <param name="OutDType">The type of the written tensors.</param>
/// <param name="Tokenizer">How vocabularies are brought together; from <c>tokenizer:</c> or <c>tokenizer_source:</c>.</param>
/// <param name="ChatTemplate">Which chat template the result gets.</param>
/// <param name="Yaml">The document's own text, verbatim.</param>
/// <param name="Form">Which spelling the inputs had.</param>
public sealed record Recipe(
    string File,
    string? Name,
    string MergeMethod,
    SourceLocation MethodLocation,
    ModelReference? BaseModel,
    IReadOnlyList<RecipeModule> Modules,
    Parameters Parameters,
    DType? DType,
    DType? OutDType,
    TokenizerSpec? Tokenizer,
    ChatTemplateSpec? ChatTemplate,
    string Yaml,
    RecipeForm Form) : IRecipeDocument
{
    /// <inheritdoc/>
    public SourceLocation Location { get; init; } = new(File, 1, 1);

    /// <summary>What makes the result a mixture of experts; null for an ordinary merge.</summary>
    public MoeSettings? Moe { get; init; }

    /// <summary>The mixture whose experts are merged into a dense model; null for an ordinary merge.</summary>
    public CollapseSettings? Collapse { get; init; }

    /// <summary>What the result is, in a word or two: the merge method, or a mixture.</summary>
    public string Kind => Moe is { } moe ? $"mixture of {moe.Expanded.Count} experts" : Collapse is null ? MergeMethod : $"collapse by {MergeMethod}";

    /// <summary>What the reader noticed that does not stop the merge.</summary>
    public IReadOnlyList<Problem> Warnings { get; init; } = [];

    /// <summary>Every model that the recipe names, each once, in the order of first mention: sources, then bases, then tokenizer sources.</summary>
    public IReadOnlyList<ModelReference> AllModels() => [.. MergedModels().Concat(Tokenizer?.Models() ?? []).Distinct()];

    /// <summary>The models whose tensors are merged, each once: sources, then bases.</summary>
    public IReadOnlyList<ModelReference> MergedModels()
    {
        var slices = Modules.SelectMany(module => module.Slices).ToList();
        IEnumerable<ModelReference?> mentioned =
        [
            .. slices.SelectMany(slice => slice.Sources).Select(source => source.Model),
            BaseModel,
            .. slices.Select(slice => slice.BaseModel),
            .. Moe?.Models() ?? [],
            Collapse?.Mixture,
        ];
        return [.. mentioned.OfType<ModelReference>().Distinct()];
    }

    /// <summary>Whether a model gives its tokenizer alone: none of its tensors is read.</summary>
    public bool IsTokenizerOnly(ModelReference model) => model.Equals(Tokenizer?.Model) && !MergedModels().Contains(model)
        && Tokenizer.Tokens.All(rule => !model.Equals(rule.Source?.Model));
}

/// <summary>One part of an architecture (a language model, a vision tower) and what to merge it from.</summary>
/// <param name="Name">The module's name, <see cref="DefaultName"/> for <c>models:</c> and <c>slices:</c>.</param>
/// <param name="Slices">The output's layers from bottom to top; one slice for <c>models:</c>.</param>
/// <param name="Parameters">Parameters for the whole module.</param>
public sealed record RecipeModule(string Name, IReadOnlyList<RecipeSlice> Slices, Parameters Parameters)
{
    /// <summary>The name of the only module of an ordinary language model.</summary>
    public const string DefaultName = "default";
}

/// <summary>A run of output layers and the sources that are merged into it.</summary>
/// <param name="Sources">At least one; for <c>models:</c> none has a range, for <c>slices:</c> all have one and all ranges are equally long.</param>
/// <param name="BaseModel">Overrides the recipe's base model within this slice.</param>
/// <param name="Parameters">Parameters for this slice.</param>
/// <param name="Location">Where the slice (or the list of models) stands.</param>
public sealed record RecipeSlice(IReadOnlyList<RecipeSource> Sources, ModelReference? BaseModel, Parameters Parameters, SourceLocation Location);

/// <summary>One model's part in a slice.</summary>
/// <param name="Model">The model.</param>
/// <param name="Range">Its layers, or null for all of them.</param>
/// <param name="Parameters">Parameters for this model here.</param>
/// <param name="Location">Where the entry stands.</param>
public sealed record RecipeSource(ModelReference Model, LayerRange? Range, Parameters Parameters, SourceLocation Location)
{
    /// <summary>The file with the model's statistics; null where none is named.</summary>
    public string? Statistics { get; init; }

    /// <summary>How the model's statistics are to be recorded, in place of <see cref="Statistics"/>.</summary>
    public StatisticsRequest? Recorded { get; init; }
}

/// <summary>Layers <paramref name="Start"/> to <paramref name="End"/> - 1 of a source, counted from zero.</summary>
/// <param name="Start">The first layer.</param>
/// <param name="End">One past the last layer; greater than <paramref name="Start"/>.</param>
public readonly record struct LayerRange(int Start, int End)
{
    /// <summary>How many layers.</summary>
    public int Count => End - Start;

    /// <inheritdoc/>
    public override string ToString() => $"[{Start}, {End}]";
}
