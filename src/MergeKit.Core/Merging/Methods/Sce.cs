using System.Numerics.Tensors;
using MergeKit.Core.Merging.TaskVectors;
using MergeKit.Core.Numerics;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.Methods;

/// <summary>Select, calculate, erase: keeps the elements on which the fine-tunes differ most, weighs models by the energy of what is left, and
/// averages those whose signs agree (Wan et al. 2024, "FuseChat: knowledge fusion of chat models", arXiv 2408.07990).</summary>
/// <remarks>Of a single fine-tune nothing is deselected, since it has no variance. Weights are equal only where all energies are 0.</remarks>
[MergeMethod]
public sealed class Sce : MergeMethod
{
    private const float SmallestDivisor = 1e-6f;

    /// <inheritdoc/>
    public override MethodDescription Description { get; } = new(
        "sce",
        "Keeps the elements that vary most among the task vectors, weighs models by their energy there, and averages those whose signs agree.",
        [
            ParameterSet.Number("select_topk", 1.0, "Share of the elements with a variance that stay."),
            ParameterSet.Flag("int8_mask", false, "Accepted for mergekit's sake; saves nothing here and changes nothing."),
        ]);

    /// <inheritdoc/>
    public override string Formula =>
        "v = variance of the D_i per element; D_i = 0 outside the floor(select_topk count(v > 0)) largest v; w_i = mean(D_i^2) / sum_j mean(D_j^2); "
        + "R = W_b + (sum of the w_i D_i with the sign of sum_j D_j) / max(sum of their w_i, 1e-6)";

    /// <inheritdoc/>
    public override string Paper => "Wan et al. 2024, FuseChat, arXiv 2408.07990";

    /// <inheritdoc/>
    public override BaseRole Base => BaseRole.Required;

    /// <inheritdoc/>
    public override (int Least, int Most) SliceModels => (2, int.MaxValue);

    /// <inheritdoc/>
    public override IEnumerable<string> Check(TensorJob job)
    {
        if (job.Get("select_topk") < 0)
            yield return $"select_topk is {job.Get("select_topk")}; 0 to 1 is wanted";
    }

    /// <inheritdoc/>
    public override ChunkCombiner Prepare(TensorInputs inputs)
    {
        var (job, models, baseIndex) = (inputs.Job, inputs.Job.Others.ToArray(), inputs.Job.BaseIndex);
        var (share, selection) = (job.Get("select_topk"), (MagnitudeCut?)null);
        if (share < 1 && models.Length > 1 && job.Count > 0)
        {
            var varying = (long)inputs.Sum(1, (chunk, offset, length, sums) =>
            {
                var part = chunk.Part(offset, length);
                Variance.PerElement(part, models, baseIndex, part.Scratch(0));
                sums[0] = length - part.Scratch(0).Count(0f);
            })[0];
            var keep = TaskVectorScheme.Keep(share, varying);
            if (keep == 0)
                return (chunk, result) => chunk.Source(baseIndex).CopyTo(result);
            selection = MagnitudeCut.Find(inputs,
                [CutTarget.OfValues(chunk => Variance.PerElement(chunk, models, baseIndex, chunk.Scratch(0)), keep, CutSide.KeepLargest)])[0];
        }

        var weights = Weights(inputs, models, selection);
        var votes = Array.ConvertAll(models, _ => 1f);
        return (chunk, result) =>
        {
            Select(chunk, models, baseIndex, selection);
            SignConsensus.Merge(chunk, models, weights, weights, result, votes, SmallestDivisor);
            TensorPrimitives.Add(result, chunk.Source(baseIndex), result);
        };
    }

    /// <summary>Turns the rows into task vectors and clears what the variance does not select.</summary>
    private static void Select(Chunk chunk, int[] models, int baseIndex, MagnitudeCut? selection)
    {
        if (selection is { } cut)
        {
            Variance.PerElement(chunk, models, baseIndex, chunk.Scratch(0));
            Trimmer.Magnitude(cut).Apply(chunk.Scratch(0), chunk.Start, chunk.Scratch(1));
        }

        foreach (var model in models)
        {
            var delta = chunk.Source(model);
            TensorPrimitives.Subtract(delta, chunk.Source(baseIndex), delta);
            if (selection is not null)
                Variance.ClearWhereZero(delta, chunk.Scratch(0));
        }
    }

    private static float[] Weights(TensorInputs inputs, int[] models, MagnitudeCut? selection)
    {
        var energies = inputs.Sum(models.Length, (chunk, offset, length, sums) =>
        {
            var part = chunk.Part(offset, length);
            Select(part, models, inputs.Job.BaseIndex, selection);
            for (var i = 0; i < models.Length; i++)
                sums[i] = TensorMath.Dot(part.Source(models[i]), part.Source(models[i]));
        });
        var total = energies.Sum();
        return Array.ConvertAll(energies, energy => (float)(total > 0 ? energy / total : 1.0 / models.Length));
    }
}
