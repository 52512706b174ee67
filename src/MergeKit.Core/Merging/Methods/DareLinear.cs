using MergeKit.Core.Merging.TaskVectors;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.Methods;

/// <summary>Drops random entries of each task vector, rescales what is left, and adds it to the base. (Yu et al. 2023, Language models are super Mario (DARE), arXiv 2311.03099).</summary>
[MergeMethod]
public sealed class DareLinear : MergeMethod
{
    private static readonly TaskVectorScheme Scheme = new(Trim.Random, Consensus: false, Normalize: false, Rescale: true);

    /// <inheritdoc/>
    public override MethodDescription Description { get; } = Scheme.Describe("dare_linear", "Drops random entries of each task vector, rescales what is left, and adds it to the base.");

    /// <inheritdoc/>
    public override string Formula => "T_i = D_i kept with probability density, times sum|D_i| / sum|kept D_i|; R = W_b + lambda sum_i w_i T_i";

    /// <inheritdoc/>
    public override string Paper => "Yu et al. 2023, Language models are super Mario (DARE), arXiv 2311.03099";

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
