using MergeKit.Core.Merging.TaskVectors;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.Methods;

/// <summary>Adds the weighted task vectors to the base. (Ilharco et al. 2022, Editing models with task arithmetic, arXiv 2212.04089).</summary>
[MergeMethod]
public sealed class TaskArithmetic : MergeMethod
{
    private static readonly TaskVectorScheme Scheme = new(Trim.None, Consensus: false, Normalize: false, Rescale: false);

    /// <inheritdoc/>
    public override MethodDescription Description { get; } = Scheme.Describe("task_arithmetic", "Adds the weighted task vectors to the base.");

    /// <inheritdoc/>
    public override string Formula => "R = W_b + lambda sum_i w_i D_i";

    /// <inheritdoc/>
    public override string Paper => "Ilharco et al. 2022, Editing models with task arithmetic, arXiv 2212.04089";

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
