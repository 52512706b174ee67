using MergeKit.Core.Diagnostics;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.Methods;

/// <summary>Weighted mean direction of any number of models, with their mean length: one step of the spherical weighted average (Buss and
/// Fillmore 2001, "Spherical averages and applications to spherical splines and interpolation"; in mergekit as Multi-SLERP).</summary>
/// <remarks>mergekit steps from m along the tangent mean g = sum w_i (u_i - (u_i.m) m). With m the normalised weighted sum of the u_i, g vanishes
/// identically (sum w_i u_i = |sum w_i u_i| m), so only the cosine of <c>eps</c>, 1 to 16 digits, would remain of the step.</remarks>
[MergeMethod]
public sealed class MultiSlerp : MergeMethod
{
    /// <inheritdoc/>
    public override MethodDescription Description { get; } = new(
        "multislerp",
        "Averages the directions of several models, or of their differences from a base, and gives the result their mean length.",
        [
            ParameterSet.Weight,
            ParameterSet.Flag("normalize_weights", true, "Divide the weights by their sum."),
            ParameterSet.Number("eps", 1e-8, "Added to norms before dividing; a mean direction shorter than this counts as none."),
        ]);

    /// <inheritdoc/>
    public override string Formula =>
        "u_i = X_i / (|X_i| + eps); m = sum_i w_i u_i; R = (sum_i w_i |X_i|) m / |m|; two models with |m| < eps: w_1 X_1 + w_2 X_2; "
        + "X_i = W_i, or D_i and R + W_b with a base";

    /// <inheritdoc/>
    public override string Paper => "Buss and Fillmore 2001, Spherical averages and applications to spherical splines and interpolation, ACM TOG 20(2)";

    /// <inheritdoc/>
    public override BaseRole Base => BaseRole.Optional;

    /// <inheritdoc/>
    public override IEnumerable<string> Check(TensorJob job)
    {
        if (job.Is("normalize_weights") && job.Others.Count > 0 && Math.Abs(job.Others.Sum(i => job.Get(i, "weight"))) < 1e-8)
            yield return "the weights add up to 0, so they cannot be normalised; change them or set normalize_weights: false";
        if (job.Get("eps") < 0)
            yield return $"eps is {job.Get("eps")}; 0 or more is wanted";
    }

    /// <inheritdoc/>
    public override bool IsCopy(TensorJob job) => job.Sources.Count == 1;

    /// <inheritdoc/>
    public override ChunkCombiner Prepare(TensorInputs inputs)
    {
        var (job, models) = (inputs.Job, inputs.Job.Others.ToArray());
        if (models.Length <= 1)
            return (chunk, result) => chunk.Source(models.Length == 1 ? models[0] : 0).CopyTo(result);
        var weights = Array.ConvertAll(models, i => job.Get(i, "weight"));
        if (job.Is("normalize_weights"))
            weights = Array.ConvertAll(weights, weight => weight / weights.Sum());
        var gram = GramMatrix.Of(inputs, models, job.BaseIndex);
        return LinearCombination.Of(models, Factors(gram, weights, job.Get("eps"), job.Name), job.BaseIndex);
    }

    private static double[] Factors(GramMatrix gram, double[] weights, double eps, string tensor)
    {
        var directions = weights.Select((weight, i) => gram.Norm(i) + eps is var norm && norm > 0 ? weight / norm : 0).ToArray();
        var length = gram.Length(directions);
        var allZero = Enumerable.Range(0, gram.Size).All(i => gram[i, i] == 0);
        if (length < eps || length == 0)
            return gram.Size == 2 || allZero ? weights : throw new InputException(
                $"tensor '{tensor}': the weighted directions of the {gram.Size} models cancel (their sum has length {length:G3}, below eps = {eps:G3}), "
                + "so multislerp has no mean direction; change the weights");
        var mean = weights.Select((weight, i) => weight * gram.Norm(i)).Sum();
        return Array.ConvertAll(directions, share => mean / length * share);
    }
}
