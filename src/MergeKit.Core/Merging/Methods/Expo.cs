using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.Methods;

/// <summary>Extrapolates from a weaker model (before preference training) through a stronger one (after it) and beyond (Zheng et al. 2024, "Model
/// extrapolation expedites alignment" (ExPO), arXiv 2404.16792).</summary>
[MergeMethod]
public sealed class Expo : MergeMethod
{
    /// <inheritdoc/>
    public override MethodDescription Description { get; } = new(
        "expo",
        "Goes on from the base past the aligned model, by alpha times what alignment changed.",
        [ParameterSet.Number("alpha", null, "How far beyond the other model, in units of its distance from the base; 0 gives the other model.")]);

    /// <inheritdoc/>
    public override string Formula => "R = V + alpha (V - W_b)";

    /// <inheritdoc/>
    public override string Paper => "Zheng et al. 2024, Model Extrapolation Expedites Alignment (ExPO), arXiv 2404.16792";

    /// <inheritdoc/>
    public override BaseRole Base => BaseRole.Required;

    /// <inheritdoc/>
    public override (int Least, int Most) SliceModels => (2, 2);

    /// <inheritdoc/>
    public override VocabularyCut VocabularyCut => VocabularyCut.ToBase;

    /// <inheritdoc/>
    public override bool IsCopy(TensorJob job) => job.Sources.Count == 1;

    /// <inheritdoc/>
    public override ChunkCombiner Prepare(TensorInputs inputs)
    {
        var (job, models) = (inputs.Job, inputs.Job.Others.ToArray());
        return LinearCombination.Of(models, Array.ConvertAll(models, _ => 1 + job.Get("alpha")), job.BaseIndex);
    }
}
