using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.Methods;

/// <summary>Exponential moving average over a run's checkpoints, listed from the oldest to the newest (Polyak and Juditsky 1992, "Acceleration of
/// stochastic approximation by averaging"; Busbridge et al. 2023, "How to scale your EMA", arXiv 2307.13813).</summary>
[MergeMethod]
public sealed class Ema : MergeMethod
{
    /// <inheritdoc/>
    public override MethodDescription Description { get; } = new(
        "ema",
        "Exponential moving average over checkpoints, listed oldest first.",
        [ParameterSet.Number("decay", null, "Share of the average that each newer checkpoint leaves in place.")]);

    /// <inheritdoc/>
    public override string Formula => "E_1 = W_1; E_j = decay E_(j-1) + (1 - decay) W_j; R = E_n";

    /// <inheritdoc/>
    public override string Paper => "Polyak and Juditsky 1992, SIAM J. Control Optim. 30(4); Busbridge et al. 2023, How to Scale Your EMA, arXiv 2307.13813";

    /// <inheritdoc/>
    public override IEnumerable<string> Check(TensorJob job)
    {
        if (job.BaseIndex >= 0)
            yield return "ema averages the listed checkpoints, oldest first, and has no use for a base_model; leave it out";
        if (job.Get("decay") is < 0 or > 1)
            yield return $"decay is {job.Get("decay")}; 0 to 1 is wanted";
    }

    /// <inheritdoc/>
    public override ChunkCombiner Prepare(TensorInputs inputs)
    {
        var (decay, last) = (inputs.Job.Get("decay"), inputs.Job.Sources.Count - 1);
        var models = Enumerable.Range(0, last + 1).ToArray();
        return LinearCombination.Of(models, Array.ConvertAll(models, j => Math.Pow(decay, last - j) * (j == 0 ? 1 : 1 - decay)), -1);
    }
}
