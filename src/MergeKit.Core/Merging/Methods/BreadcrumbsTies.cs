using MergeKit.Core.Merging.TaskVectors;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.Methods;

/// <summary>Drops the largest and the smallest entries of each task vector and adds those whose signs agree. (Davari and Belilovsky 2023, Model Breadcrumbs, arXiv 2312.06795, with the sign vote of Yadav et al. 2023, arXiv 2306.01708).</summary>
[MergeMethod]
public sealed class BreadcrumbsTies : MergeMethod
{
    private static readonly TaskVectorScheme Scheme = new(Trim.Outliers, Consensus: true, Normalize: false, Rescale: false);

    /// <inheritdoc/>
    public override MethodDescription Description { get; } = Scheme.Describe("breadcrumbs_ties", "Drops the largest and the smallest entries of each task vector and adds those whose signs agree.");

    /// <inheritdoc/>
    public override string Formula => "T_i = D_i without its floor(gamma N) largest and its smallest entries, floor(density N) stay; E_i = w_i T_i; R = W_b + lambda sum of the E_i with the sign of sum_j E_j";

    /// <inheritdoc/>
    public override string Paper => "Davari and Belilovsky 2023, Model Breadcrumbs, arXiv 2312.06795, with the sign vote of Yadav et al. 2023, arXiv 2306.01708";

    /// <inheritdoc/>
    public override BaseRole Base => BaseRole.Required;

    /// <inheritdoc/>
    public override (int Least, int Most) SliceModels => (2, int.MaxValue);

    /// <inheritdoc/>
    public override VocabularyCut VocabularyCut => VocabularyCut.ToBase;

    /// <inheritdoc/>
    public override IEnumerable<string> Check(TensorJob job) => Scheme.Check(job);

    /// <inheritdoc/>
    public override MergeFormula AsFormula(TensorJob job, ulong seed) => Scheme.AsFormula(job, seed);

    /// <inheritdoc/>
    public override ChunkCombiner Prepare(TensorInputs inputs) => Scheme.Prepare(inputs);
}
