using MergeKit.Core.Merging.TaskVectors;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.Methods;

/// <summary>Like ram, and amplifies what one model alone changed, the more the larger the share of its changes that others have too. (Yuan et al. 2026, "Behavior knowledge merge in reinforced agentic models", arXiv 2601.13572).</summary>
[MergeMethod]
public sealed class RamPlusTl : MergeMethod
{
    /// <inheritdoc/>
    public override MethodDescription Description { get; } = new(
        "ramplus_tl",
        "Like ram, and amplifies what one model alone changed, the more the larger the share of its changes that others have too.",
        [
            ParameterSet.Number("epsilon", 1e-5, "A model contributes to an element where its task vector exceeds this."),
            ParameterSet.Number("r", 0.1, "Strength of the amplification."),
            ParameterSet.Number("alpha", 0.2, "Greatest overlap ratio that counts."),
        ]);

    /// <inheritdoc/>
    public override string Formula =>
        "c = number of i with |D_i| > epsilon; R = W_b + (sum of those D_i) / c; where c = 1, D_i (1 + r clamp(rho_i, 0, alpha)), "
        + "rho_i = (elements of i with c > 1) / max(elements of i with c = 1, epsilon)";

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
        if (job.Get("alpha") < 0)
            yield return $"alpha is {job.Get("alpha")}; 0 or more is wanted";
    }

    /// <inheritdoc/>
    public override ChunkCombiner Prepare(TensorInputs inputs)
    {
        var (job, models) = (inputs.Job, inputs.Job.Others.ToArray());
        var (epsilon, baseIndex) = ((float)job.Get("epsilon"), job.BaseIndex);
        var (r, alpha) = (job.Get("r"), job.Get("alpha"));
        var factors = Array.ConvertAll(Contributions.Count(inputs, models, epsilon), counts =>
            counts.Shared == 0 ? 1f : (float)(1 + r * Math.Clamp(counts.Shared / Math.Max(counts.Lone, epsilon), 0, alpha)));
        return (chunk, result) =>
        {
            Contributions.Find(chunk, models, baseIndex, epsilon);
            Contributions.Merge(chunk, models, baseIndex, factors, result);
        };
    }
}
