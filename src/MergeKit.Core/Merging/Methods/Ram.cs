using MergeKit.Core.Merging.TaskVectors;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.Methods;

/// <summary>Averages task vectors over the models that changed an element, and takes whole what one model alone changed. (Yuan et al. 2026, "Behavior knowledge merge in reinforced agentic models", arXiv 2601.13572).</summary>
[MergeMethod]
public sealed class Ram : MergeMethod
{
    /// <inheritdoc/>
    public override MethodDescription Description { get; } = new(
        "ram",
        "Averages task vectors over the models that changed an element, and takes whole what one model alone changed.",
        [
            ParameterSet.Number("epsilon", 1e-5, "A model contributes to an element where its task vector exceeds this."),
        ]);

    /// <inheritdoc/>
    public override string Formula =>
        "c = number of i with |D_i| > epsilon; R = W_b + (sum of those D_i) / c";

    /// <inheritdoc/>
    public override string Paper => "Yuan et al. 2026, Behavior Knowledge Merge in Reinforced Agentic Models, arXiv 2601.13572";

    /// <inheritdoc/>
    public override BaseRole Base => BaseRole.Required;

    /// <inheritdoc/>
    public override (int Least, int Most) SliceModels => (2, int.MaxValue);

    /// <inheritdoc/>
    public override IEnumerable<string> Check(TensorJob job)
    {
        if (job.Get("epsilon") < 0)
            yield return $"epsilon is {job.Get("epsilon")}; 0 or more is wanted";
    }

    /// <inheritdoc/>
    public override ChunkCombiner Prepare(TensorInputs inputs)
    {
        var (job, models) = (inputs.Job, inputs.Job.Others.ToArray());
        var (epsilon, baseIndex) = ((float)job.Get("epsilon"), job.BaseIndex);
        return (chunk, result) =>
        {
            Contributions.Find(chunk, models, baseIndex, epsilon);
            Contributions.Merge(chunk, models, baseIndex, null, result);
        };
    }
}
