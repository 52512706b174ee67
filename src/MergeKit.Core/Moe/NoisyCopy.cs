using System.Numerics.Tensors;
using MergeKit.Core.Merging;
using MergeKit.Core.Numerics;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Moe;

/// <summary>A copy with normal noise, by which the experts of sparse upcycling are told apart. Not a method of recipes: mixtures use it.</summary>
internal sealed class NoisyCopy : MergeMethod
{
    /// <inheritdoc/>
    public override MethodDescription Description { get; } = new(
        "noisy_copy", "Copies a tensor and adds normal noise.",
        [
            new ParameterDescription("noise_scale", ParameterScope.PerModel, ParameterTypes.Number, true, null, "Standard deviation of the noise."),
            new ParameterDescription("scale", ParameterScope.PerModel, ParameterTypes.Number, false, 1.0, "Factor on the sum."),
        ]);

    /// <inheritdoc/>
    public override string Formula => "R = scale (W_1 + noise_scale Z), Z standard normal";

    /// <inheritdoc/>
    public override string Paper => "Komatsuzaki et al. 2022, Sparse upcycling, arXiv 2212.05055";

    /// <inheritdoc/>
    public override (int Least, int Most) SliceModels => (1, 1);

    /// <inheritdoc/>
    public override ChunkCombiner Prepare(TensorInputs inputs)
    {
        var (noise, scale) = ((float)inputs.Job.Get(0, "noise_scale"), (float)inputs.Job.Get(0, "scale"));
        var gaussian = new CounterGaussian(inputs.Seed, inputs.Job.Name, 0);
        return (chunk, result) =>
        {
            gaussian.Fill(chunk.Start, result);
            TensorPrimitives.MultiplyAdd(result, noise, chunk.Source(0), result);
            if (scale != 1)
                TensorPrimitives.Multiply(result, scale, result);
        };
    }
}
