using System.Numerics.Tensors;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.Methods;

/// <summary>Task arithmetic on the elements that at least so many models find important (Wang et al. 2024, "Localizing task information for
/// improved model merging and compression" (TALL masks, Consensus TA), arXiv 2405.07813).</summary>
[MergeMethod]
public sealed class ConsensusTa : MergeMethod
{
    /// <inheritdoc/>
    public override MethodDescription Description { get; } = new(
        "consensus_ta",
        "Adds the sum of the task vectors to the base where it matters to several models, and drops what is catastrophic or selfish.",
        [
            ParameterSet.PerModel("mask_lambda", 0.4, "How strict the model's mask is: the larger, the fewer elements it calls its own."),
            new ParameterDescription("k", ParameterScope.Global, ParameterTypes.Integer, false, 2, "How many models must find an element important."),
            ParameterSet.Number("lambda", 1.0, "Factor for the merged task vector."),
        ]);

    /// <inheritdoc/>
    public override string Formula =>
        "T = sum_i D_i; m_i = 1 where |D_i| >= mask_lambda_i |T - D_i|; R = W_b + lambda T where sum_i m_i >= k, else W_b";

    /// <inheritdoc/>
    public override string Paper => "Wang et al. 2024, Localizing Task Information for Improved Model Merging and Compression, arXiv 2405.07813";

    /// <inheritdoc/>
    public override BaseRole Base => BaseRole.Required;

    /// <inheritdoc/>
    public override (int Least, int Most) SliceModels => (2, int.MaxValue);

    /// <inheritdoc/>
    public override VocabularyCut VocabularyCut => VocabularyCut.ToBase;

    /// <inheritdoc/>
    public override IEnumerable<string> Check(TensorJob job)
    {
        if (job.Others.Count > 0 && (job.Get("k") < 0 || job.Get("k") > job.Others.Count))
            yield return $"k is {job.Get("k")}; 0 to {job.Others.Count}, the number of models, is wanted";
        foreach (var i in job.Others.Where(i => job.Get(i, "mask_lambda") < 0))
            yield return $"mask_lambda of {job.Sources[i].Model} is {job.Get(i, "mask_lambda")}; 0 or more is wanted";
    }

    /// <inheritdoc/>
    public override ChunkCombiner Prepare(TensorInputs inputs)
    {
        var (job, models, baseIndex) = (inputs.Job, inputs.Job.Others.ToArray(), inputs.Job.BaseIndex);
        var strictness = Array.ConvertAll(models, i => (float)job.Get(i, "mask_lambda"));
        var (least, lambda) = ((float)job.Get("k"), (float)job.Get("lambda"));
        return (chunk, result) =>
        {
            var votes = chunk.Scratch(0);
            votes.Clear();
            result.Clear();
            foreach (var model in models)
            {
                TensorPrimitives.Subtract(chunk.Source(model), chunk.Source(baseIndex), chunk.Source(model));
                TensorPrimitives.Add(result, chunk.Source(model), result);
            }

            for (var at = 0; at < models.Length; at++)
                Vote(chunk.Source(models[at]), result, strictness[at], votes);
            for (var i = 0; i < result.Length; i++)
                result[i] = votes[i] >= least ? lambda * result[i] : 0;
            TensorPrimitives.Add(result, chunk.Source(baseIndex), result);
        };
    }

    private static void Vote(ReadOnlySpan<float> delta, ReadOnlySpan<float> total, float strictness, Span<float> votes)
    {
        for (var i = 0; i < delta.Length; i++)
            votes[i] += Math.Abs(delta[i]) >= strictness * Math.Abs(total[i] - delta[i]) ? 1 : 0;
    }
}
