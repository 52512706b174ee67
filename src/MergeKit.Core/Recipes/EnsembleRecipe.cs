using MergeKit.Core.Diagnostics;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Recipes;

/// <summary>A document with <c>ensemble:</c>: several models whose next-token laws are combined while they run.</summary>
/// <param name="File">The file it came from.</param>
/// <param name="Name">The document's name, by which it can be used as a model.</param>
/// <param name="Rule">One of <see cref="EnsembleRules.All"/>.</param>
/// <param name="Members">The models, in the order of the rule's places.</param>
/// <param name="Parameters">The rule's parameters by name.</param>
/// <param name="Vocabulary">How different vocabularies are brought together.</param>
/// <param name="Gate">The weights of a gated mixture.</param>
/// <param name="Context">For <c>context_aware</c>: the text that is put before everything.</param>
/// <param name="Yaml">The document's own text.</param>
/// <param name="Location">Where it stands.</param>
public sealed record EnsembleRecipe(
    string File, string? Name, EnsembleRule Rule, IReadOnlyList<EnsembleMember> Members, IReadOnlyDictionary<string, double> Parameters,
    EnsembleVocabulary Vocabulary, GateSpec? Gate, string? Context, string Yaml, SourceLocation Location) : IRecipeDocument
{
    /// <summary>One of <see cref="EnsembleRule.Variants"/>; null for the first.</summary>
    public string? Variant { get; init; }

    /// <summary>How the weights are to be learned; null where they are given.</summary>
    public LearnSettings? Learn { get; init; }

    /// <summary>How the members are run.</summary>
    public EnsembleExecution Execution { get; init; } = new("auto", null);

    /// <summary>Of which data the members' bags are resamples.</summary>
    public BaggingSpec? Bagging { get; init; }

    /// <summary>The type of the members' weights; null: as stored.</summary>
    public DType? Type { get; init; }

    /// <inheritdoc/>
    public IReadOnlyList<ModelReference> AllModels() => [.. Members.Select(member => member.Model).Distinct()];
}

/// <summary>One model of an ensemble.</summary>
/// <param name="Model">The model.</param>
/// <param name="Weight">Its weight or lambda, where it has one of its own.</param>
/// <param name="Role">Its part, for rules that name parts.</param>
/// <param name="Dropout">Where given, the member stands for several passes with dropout.</param>
/// <param name="Location">Where the entry stands.</param>
public sealed record EnsembleMember(ModelReference Model, double? Weight, string? Role, DropoutSpec? Dropout, SourceLocation Location)
{
    /// <summary>The number of the resample that it was trained on; null for none.</summary>
    public int? Bag { get; init; }
}

/// <summary>Monte-Carlo dropout (Gal and Ghahramani 2016): one model, several times, each time with other units left out.</summary>
/// <param name="Rate">The share of units that is left out, above 0 and below 1.</param>
/// <param name="Passes">How many times.</param>
/// <param name="Seed">What decides which units.</param>
public sealed record DropoutSpec(double Rate, int Passes, int Seed);

/// <summary>Resamples that members were trained on.</summary>
/// <param name="Data">The training data.</param>
/// <param name="Seed">Decides the draws.</param>
/// <param name="Location">Where it is stated.</param>
public sealed record BaggingSpec(string Data, int Seed, SourceLocation Location);

/// <summary>How members are run.</summary>
/// <param name="Members">One of <see cref="EnsembleRules.Executions"/>.</param>
/// <param name="Location">Where it is stated.</param>
public sealed record EnsembleExecution(string Members, SourceLocation? Location);

/// <summary>The weights of a gate: w = softmax(W phi + b).</summary>
/// <param name="Weights">W, one row per member.</param>
/// <param name="Bias">b, one per member.</param>
public sealed record GateSpec(IReadOnlyList<IReadOnlyList<double>> Weights, IReadOnlyList<double> Bias);

/// <summary>How different vocabularies are brought together.</summary>
/// <param name="Mode">One of <see cref="EnsembleRules.VocabularyModes"/>.</param>
/// <param name="Pivot">The member whose tokens count; null: the first.</param>
/// <param name="TopK">For <c>topk_union</c>: how many tokens each member proposes.</param>
/// <param name="MaxCovers">For <c>bytes</c>: how many ways to cut the text into tokens are followed.</param>
/// <param name="Location">Where it is stated.</param>
public sealed record EnsembleVocabulary(string Mode, string? Pivot, int TopK, int MaxCovers, SourceLocation Location);
