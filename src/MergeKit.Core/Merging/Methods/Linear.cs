using System.Numerics.Tensors;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.Methods;

/// <summary>Weighted average of the models (Wortsman et al. 2022, "Model soups", arXiv 2203.05482; equal weights are the uniform soup).</summary>
[MergeMethod]
public sealed class Linear : MergeMethod
{
    /// <inheritdoc/>
    public override MethodDescription Description { get; } = new(
        "linear",
        "Weighted average of all models; equal weights make a uniform soup.",
        [
            ParameterSet.Weight,
            ParameterSet.Flag("normalize", true, "Divide by the sum of the weights."),
        ]);

    /// <inheritdoc/>
    public override string Formula => "R = sum_i w_i W_i, divided by sum_i w_i when normalize is true";

    /// <inheritdoc/>
    public override string Paper => "Wortsman et al. 2022, Model soups, arXiv 2203.05482";

    /// <inheritdoc/>
    public override VocabularyCut VocabularyCut => VocabularyCut.ToSmallest;

    /// <inheritdoc/>
    public override IEnumerable<string> Check(TensorJob job)
    {
        if (job.Is("normalize") && Math.Abs(job.Sources.Sum(source => source.Parameters["weight"])) < 1e-8)
            yield return "the weights add up to 0, so the average is not defined; change them or set normalize: false";
    }

    /// <inheritdoc/>
    public override WeightedSum AsFormula(TensorJob job, ulong seed)
    {
        var weights = job.Sources.Select(source => source.Parameters["weight"]).ToArray();
        return new WeightedSum(Array.ConvertAll(weights, weight => (float)weight), job.Is("normalize") ? (float)weights.Sum() : 1);
    }

    /// <inheritdoc/>
    public override ChunkCombiner Prepare(TensorInputs inputs)
    {
        var (weights, divisor) = AsFormula(inputs.Job, inputs.Seed);
        return (chunk, result) =>
        {
            TensorPrimitives.Multiply(chunk.Source(0), weights[0], result);
            for (var i = 1; i < weights.Count; i++)
                TensorPrimitives.MultiplyAdd(chunk.Source(i), weights[i], result, result);
            if (divisor != 1)
                TensorPrimitives.Divide(result, divisor, result);
        };
    }
}
