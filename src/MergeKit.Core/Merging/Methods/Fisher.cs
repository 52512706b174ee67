using System.Numerics.Tensors;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.Methods;

/// <summary>Averages each parameter by how much each model's loss depends on it: by the diagonal of its Fisher information (Matena and Raffel 2022,
/// "Merging models with Fisher-weighted averaging", arXiv 2111.09832), which <c>mergekit statistics --method fisher</c> records, or a run of a recipe that
/// names texts: one tensor per weight, of the same name and shape, elements E[(d ln p / d w)^2] >= 0.</summary>
[MergeMethod]
public sealed class Fisher : MergeMethod
{
    /// <inheritdoc/>
    public override MethodDescription Description { get; } = new(
        "fisher",
        "Averages each parameter by each model's Fisher information, recorded on texts or read from a statistics file per model.",
        [
            ParameterSet.PerModel("weight", 1.0, "Factor of the model's information: w_i."),
            ParameterSet.Number("epsilon", 1e-6, "Least information of an element, relative to the tensor's mean: where no model has any, the average is plain."),
        ]);

    /// <inheritdoc/>
    public override string Formula => "R = sum_i w_i max(F_i, epsilon mean(F_i)) W_i / sum_i w_i max(F_i, epsilon mean(F_i)), elementwise; the weighted average where a tensor has no F_i";

    /// <inheritdoc/>
    public override string Paper => "Matena and Raffel 2022, Merging models with Fisher-weighted averaging, arXiv 2111.09832";

    /// <inheritdoc/>
    public override StatisticsKind Statistics => StatisticsKind.PerElement;

    /// <inheritdoc/>
    public override IEnumerable<string> Check(TensorJob job) => RegMean.CheckWeights(job);

    /// <inheritdoc/>
    public override ChunkCombiner Prepare(TensorInputs inputs)
    {
        var job = inputs.Job;
        if (job.Sources.Any(source => source.Statistics is null))
            return RegMean.Average(job);
        var weights = job.Sources.Select(source => (float)source.Parameters["weight"]).ToArray();
        var means = inputs.Sum(weights.Length, (chunk, offset, length, sums) =>
        {
            var (information, scratch) = (new float[length], new byte[length * sizeof(double)]);
            for (var i = 0; i < weights.Length; i++)
            {
                job.Sources[i].Statistics!.Read(chunk.Start + offset, information, scratch);
                for (var j = 0; j < length; j++)
                    sums[i] += information[j];
            }
        });
        var least = means.Select(sum => (float)(job.Get("epsilon") * sum / job.Count)).ToArray();
        return (chunk, result) => Combine(job, chunk, result, weights, least);
    }

    private static void Combine(TensorJob job, Chunk chunk, Span<float> result, float[] weights, float[] least)
    {
        var information = chunk.Scratch(0);
        var total = chunk.Scratch(1);
        result.Clear();
        total.Clear();
        for (var i = 0; i < weights.Length; i++)
        {
            job.Sources[i].Statistics!.Read(chunk.Start, information, new byte[information.Length * sizeof(double)]);
            TensorPrimitives.Max(information, Math.Max(least[i], float.Epsilon), information);
            TensorPrimitives.Multiply(information, weights[i], information);
            TensorPrimitives.Add(total, information, total);
            TensorPrimitives.MultiplyAdd(information, chunk.Source(i), result, result);
        }

        TensorPrimitives.Divide(result, total, result);
    }
}
