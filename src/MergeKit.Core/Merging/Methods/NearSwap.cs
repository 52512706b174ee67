using System.Numerics.Tensors;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.Methods;

/// <summary>Takes the other model's values where they are near the base's, and less of them the farther they are (Alchemonaut's algorithm,
/// published with the QuartetAnemoi-70B model).</summary>
[MergeMethod]
public sealed class NearSwap : MergeMethod
{
    private const float SmallestDistance = 1e-6f;

    /// <inheritdoc/>
    public override MethodDescription Description { get; } = new(
        "nearswap",
        "Moves the base towards the other model by at most t per element: values nearer than t are swapped.",
        [ParameterSet.Number("t", null, "The distance up to which values are swapped.")]);

    /// <inheritdoc/>
    public override string Formula => "f = t / max(|W_b - V|, 1e-6), held in [0, 1]; R = f V + (1-f) W_b";

    /// <inheritdoc/>
    public override string Paper => "none; Alchemonaut 2024, QuartetAnemoi-70B, model card";

    /// <inheritdoc/>
    public override BaseRole Base => BaseRole.Required;

    /// <inheritdoc/>
    public override (int Least, int Most) SliceModels => (2, 2);

    /// <inheritdoc/>
    public override IEnumerable<string> Check(TensorJob job)
    {
        if (job.Get("t") < 0)
            yield return $"t is {job.Get("t")}, a distance; 0 or more is wanted";
    }

    /// <inheritdoc/>
    public override bool IsCopy(TensorJob job) => job.Sources.Count == 1;

    /// <inheritdoc/>
    public override ChunkCombiner Prepare(TensorInputs inputs)
    {
        if (inputs.Job.Sources.Count == 1)
            return (chunk, result) => chunk.Source(0).CopyTo(result);
        var (baseIndex, other, t) = (inputs.Job.BaseIndex, inputs.Job.Others[0], (float)inputs.Job.Get("t"));
        return (chunk, result) =>
        {
            var factor = chunk.Scratch(0);
            TensorPrimitives.Subtract(chunk.Source(other), chunk.Source(baseIndex), factor);
            TensorPrimitives.Abs(factor, factor);
            TensorPrimitives.Max(factor, SmallestDistance, factor);
            TensorPrimitives.Divide(t, factor, factor);
            TensorPrimitives.Clamp(factor, 0f, 1f, factor);
            TensorPrimitives.Lerp(chunk.Source(baseIndex), chunk.Source(other), factor, result);
        };
    }
}
