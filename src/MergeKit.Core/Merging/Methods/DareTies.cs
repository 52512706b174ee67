using MergeKit.Core.Merging.TaskVectors;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.Methods;

/// <summary>Drops random entries of each task vector, rescales what is left, and adds those whose signs agree. (Yu et al. 2023, DARE, arXiv 2311.03099, with the sign vote of Yadav et al. 2023, arXiv 2306.01708).</summary>
[MergeMethod]
public sealed class DareTies : MergeMethod
{
    private static readonly TaskVectorScheme Scheme = new(Trim.Random, Consensus: true, Normalize: false, Rescale: true);

    /// <inheritdoc/>
    public override MethodDescription Description { get; } = Scheme.Describe("dare_ties", "Drops random entries of each task vector, rescales what is left, and adds those whose signs agree.");

    /// <inheritdoc/>
    public override string Formula => "T_i = D_i kept with probability density, times sum|D_i| / sum|kept D_i|; E_i = w_i T_i; R = W_b + lambda sum of the E_i with the sign of sum_j E_j";

    /// <inheritdoc/>
    public override string Paper => "Yu et al. 2023, DARE, arXiv 2311.03099, with the sign vote of Yadav et al. 2023, arXiv 2306.01708";

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
