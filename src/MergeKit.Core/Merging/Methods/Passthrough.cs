using System.Numerics.Tensors;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.Methods;

/// <summary>Takes each tensor from one model, perhaps scaled; with slices this stacks layers of several models ("frankenmerge").</summary>
[MergeMethod]
public sealed class Passthrough : MergeMethod
{
    /// <inheritdoc/>
    public override MethodDescription Description { get; } = new(
        "passthrough",
        "Copies tensors of one model; with slices it stacks layers of several.",
        [new ParameterDescription("scale", ParameterScope.PerModel, ParameterTypes.Number, false, 1.0, "Factor for every element; 1 leaves the bytes alone.")]);

    /// <inheritdoc/>
    public override string Formula => "R = scale W_1";

    /// <inheritdoc/>
    public override string Paper => "none; layer stacking is described in Kim et al. 2023, SOLAR 10.7B (depth up-scaling), arXiv 2312.15166";

    /// <inheritdoc/>
    public override (int Least, int Most) SliceModels => (1, 1);

    /// <inheritdoc/>
    public override bool IsCopy(TensorJob job) => job.Get(0, "scale") == 1;

    /// <inheritdoc/>
    public override ChunkCombiner Prepare(TensorInputs inputs)
    {
        var scale = (float)inputs.Job.Get(0, "scale");
        return (chunk, result) =>
        {
            if (scale == 1)
                chunk.Source(0).CopyTo(result);
            else
                TensorPrimitives.Multiply(chunk.Source(0), scale, result);
        };
    }
}
