using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.Methods;

/// <summary>Latest weight averaging: the plain mean of a run's k newest checkpoints, listed from the oldest to the newest (Kaddour 2022, "Stop wasting
/// my time! Saving days of ImageNet and BERT training with latest weight averaging", arXiv 2209.14981).</summary>
[MergeMethod]
public sealed class Lawa : MergeMethod
{
    /// <inheritdoc/>
    public override MethodDescription Description { get; } = new(
        "lawa",
        "Averages the k newest checkpoints of a run, listed oldest first.",
        [new ParameterDescription("k", ParameterScope.Global, ParameterTypes.Integer, true, null, "How many of the newest checkpoints are averaged.")]);

    /// <inheritdoc/>
    public override string Formula => "R = (1/k) (W_(n-k+1) + ... + W_n)";

    /// <inheritdoc/>
    public override string Paper => "Kaddour 2022, Latest Weight Averaging, arXiv 2209.14981";

    /// <inheritdoc/>
    public override IEnumerable<string> Check(TensorJob job)
    {
        if (job.BaseIndex >= 0)
            yield return "lawa averages the listed checkpoints, oldest first, and has no use for a base_model; leave it out";
        if (job.Get("k") < 1 || job.Get("k") > job.Sources.Count)
            yield return $"k is {job.Get("k")}; 1 to {job.Sources.Count}, the number of checkpoints, is wanted";
    }

    /// <inheritdoc/>
    public override ChunkCombiner Prepare(TensorInputs inputs)
    {
        var (k, count) = ((int)inputs.Job.Get("k"), inputs.Job.Sources.Count);
        var models = Enumerable.Range(count - k, k).ToArray();
        return LinearCombination.Of(models, Array.ConvertAll(models, _ => 1.0 / k), -1);
    }
}
