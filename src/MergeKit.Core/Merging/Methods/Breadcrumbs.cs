using MergeKit.Core.Merging.TaskVectors;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.Methods;

/// <summary>Drops the largest and the smallest entries of each task vector and adds what is left to the base. (Davari and Belilovsky 2023, Model Breadcrumbs, arXiv 2312.06795).</summary>
[MergeMethod]
public sealed class Breadcrumbs : MergeMethod
{
    private static readonly TaskVectorScheme Scheme = new(Trim.Outliers, Consensus: false, Normalize: false, Rescale: false);

    /// <inheritdoc/>
    public override MethodDescription Description { get; } = Scheme.Describe("breadcrumbs", "Drops the largest and the smallest entries of each task vector and adds what is left to the base.");

    /// <inheritdoc/>
    public override string Formula => "T_i = D_i without its floor(gamma N) largest and its smallest entries, floor(density N) stay; R = W_b + lambda sum_i w_i T_i";

    /// <inheritdoc/>
    public override string Paper => "Davari and Belilovsky 2023, Model Breadcrumbs, arXiv 2312.06795";

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
