using MergeKit.Core.Diagnostics;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Recipes.Searching;

/// <summary>How a search document looks for its recipe.</summary>
public enum SearchKind
{
    /// <summary>The mean of all models; nothing is searched.</summary>
    UniformSoup,

    /// <summary>Models join a uniform mean in the order of their own scores while it improves (Wortsman et al. 2022).</summary>
    GreedySoup,

    /// <summary>Weights of a mean, a softmax of free numbers, by CMA-ES.</summary>
    LearnedSoup,

    /// <summary>One scale for task vectors that are added or subtracted (Ilharco et al. 2023).</summary>
    Scale,

    /// <summary>Every combination of a few values per marked parameter.</summary>
    Grid,

    /// <summary>Values drawn evenly.</summary>
    Random,

    /// <summary>Covariance matrix adaptation (Hansen 2016).</summary>
    CmaEs,

    /// <summary>A front over the tuning sets (Deb et al. 2002).</summary>
    Nsga2,
}

/// <summary>What a scale search does with the task vectors.</summary>
public enum ScaleTask
{
    /// <summary>base + s sum tau.</summary>
    Addition,

    /// <summary>base - s sum tau: the worse on the tuning sets the better, while the control sets keep their score.</summary>
    Negation,

    /// <summary>Three models a, b, c: base + s (tau_c + tau_b - tau_a).</summary>
    Analogy,
}

/// <summary>One data set of a search document.</summary>
/// <param name="Path">The file.</param>
/// <param name="Name">What to call it; null: by its file.</param>
/// <param name="Weight">Its share in the objective.</param>
/// <param name="Metric">The metric; null: bits per byte of text, accuracy of items.</param>
/// <param name="Limit">Only so many items; null: all.</param>
/// <param name="Tokens">Only about so many tokens of a text, spread over it; null: all.</param>
/// <param name="Location">Where the entry stands.</param>
public sealed record SearchData(string Path, string? Name, double Weight, string? Metric, int? Limit, int? Tokens, SourceLocation Location);

/// <summary>mergekit-evolve's description of what may vary.</summary>
/// <param name="Method">linear, task_arithmetic, ties, dare_ties or slerp.</param>
/// <param name="LayerGranularity">Layers per group with values of its own; 0: all layers share them.</param>
/// <param name="Normalize">The method's <c>normalize</c>; null: true for linear, ties and dare_ties.</param>
/// <param name="AllowNegativeWeights">Whether weights may be negative.</param>
/// <param name="Filters">Parts of tensor names with values of their own; the rest have theirs too.</param>
/// <param name="Smooth">Values are the points of a curve over the layers instead of steps.</param>
/// <param name="RandomInit">Begin at random values instead of the uniform mean.</param>
/// <param name="TokenizerSource">The recipe's tokenizer_source.</param>
public sealed record GenomeSpec(
    string Method, int LayerGranularity, bool? Normalize, bool AllowNegativeWeights, IReadOnlyList<string> Filters, bool Smooth, bool RandomInit, string? TokenizerSource);

/// <summary>A document with <c>search:</c> or <c>genome:</c>: candidate merges are made in memory and scored, and the best becomes an ordinary merge recipe.</summary>
public sealed record SearchRecipe : IRecipeDocument
{
    /// <inheritdoc/>
    public required string File { get; init; }

    /// <inheritdoc/>
    public required string? Name { get; init; }

    /// <inheritdoc/>
    public required string Yaml { get; init; }

    /// <inheritdoc/>
    public required SourceLocation Location { get; init; }

    /// <summary>How to look.</summary>
    public required SearchKind Kind { get; init; }

    /// <summary>How the kind is spelt.</summary>
    public string KindName => SearchDocument.NameOf(Kind);

    /// <summary>The recipe with marked parameters, for grid, random, cma_es and nsga2; null for the others.</summary>
    public RecipeTemplate? Template { get; init; }

    /// <summary>mergekit-evolve's genome; null where there is none.</summary>
    public GenomeSpec? Genome { get; init; }

    /// <summary>The models of a soup, a scale search or a genome, in listing order.</summary>
    public IReadOnlyList<ModelReference> Models { get; init; } = [];

    /// <summary>The base of a scale search or a genome, and what every search is compared with.</summary>
    public ModelReference? BaseModel { get; init; }

    /// <summary>The data that candidates are scored on.</summary>
    public IReadOnlyList<SearchData> Tune { get; init; } = [];

    /// <summary>The data that are opened once, at the end.</summary>
    public IReadOnlyList<SearchData> Test { get; init; } = [];

    /// <summary>What a scale search must keep.</summary>
    public IReadOnlyList<SearchData> Control { get; init; } = [];

    /// <summary>The share of the control score that must be kept.</summary>
    public double Keep { get; init; } = 0.95;

    /// <summary>Whether a greedy soup takes a model that changes nothing.</summary>
    public bool AcceptNonWorse { get; init; }

    /// <summary>What a scale search does.</summary>
    public ScaleTask Task { get; init; }

    /// <summary>The scales to try; always with 0.</summary>
    public IReadOnlyList<double> Scales { get; init; } = [];

    /// <summary>The most candidates.</summary>
    public int Candidates { get; init; } = 100;

    /// <summary>The most candidates that this kind of search can come to.</summary>
    public int MostCandidates => Kind switch
    {
        SearchKind.UniformSoup => 1,
        SearchKind.GreedySoup => (2 * Models.Count) - 1,
        SearchKind.Scale => Scales.Count,
        _ => Candidates,
    };

    /// <summary>Candidates per generation; null: by the number of parameters.</summary>
    public int? Population { get; init; }

    /// <summary>The key of all randomness.</summary>
    public ulong Seed { get; init; }

    /// <summary>Whether candidates that are losing by paired partial scores are given up.</summary>
    public bool Racing { get; init; } = true;

    /// <summary>The recipe's <c>dtype</c>, for kinds that write the recipe themselves.</summary>
    public DType? DType { get; init; }

    /// <summary>The recipe's <c>out_dtype</c>, for kinds that write the recipe themselves.</summary>
    public DType? OutDType { get; init; }

    /// <inheritdoc/>
    public IReadOnlyList<ModelReference> AllModels() =>
        [.. Models.Concat(Template?.Models ?? []).Concat(BaseModel is { } origin ? [origin] : []).Distinct()];
}
