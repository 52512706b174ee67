using MergeKit.Core.Merging.TaskVectors;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.Methods;

/// <summary>Keeps each task vector's largest entries, lets the signs vote, and averages those that agree. (Yadav et al. 2023, TIES-Merging, arXiv 2306.01708).</summary>
[MergeMethod]
public sealed class Ties : MergeMethod
{
    private static readonly TaskVectorScheme Scheme = new(Trim.Magnitude, Consensus: true, Normalize: true, Rescale: false);

    /// <inheritdoc/>
    public override MethodDescription Description { get; } = Scheme.Describe("ties", "Keeps each task vector's largest entries, lets the signs vote, and averages those that agree.");

    /// <inheritdoc/>
    public override string Formula => "T_i = the floor(density N) largest |D_i|; E_i = w_i T_i; R = W_b + lambda (sum of the E_i with the sign of sum_j E_j) / (sum of their w_i)";

    /// <inheritdoc/>
    public override string Paper => "Yadav et al. 2023, TIES-Merging, arXiv 2306.01708";

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
