using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.Methods;

/// <summary>Task arithmetic with a factor that grows linearly with depth, so that shallow layers stay near the base (Wang et al. 2024, "LiNeS:
/// post-training layer scaling prevents forgetting and enhances model merging", arXiv 2410.17146).</summary>
[MergeMethod]
public sealed class Lines : MergeMethod
{
    /// <inheritdoc/>
    public override MethodDescription Description { get; } = new(
        "lines",
        "Adds the weighted task vectors to the base, shallow layers less and deep layers more.",
        [
            ParameterSet.Weight,
            ParameterSet.Number("alpha", null, "Factor of the first layer and the embedding."),
            ParameterSet.Number("beta", null, "What the last layer, final norm and head have more."),
        ]);

    /// <inheritdoc/>
    public override string Formula => "R = W_b + (alpha + beta (l-1)/(L-1)) sum_i w_i D_i for layer l of L; embedding as layer 1, final norm and head as layer L";

    /// <inheritdoc/>
    public override string Paper => "Wang et al. 2024, LiNeS, arXiv 2410.17146";

    /// <inheritdoc/>
    public override BaseRole Base => BaseRole.Required;

    /// <inheritdoc/>
    public override (int Least, int Most) SliceModels => (2, int.MaxValue);

    /// <inheritdoc/>
    public override VocabularyCut VocabularyCut => VocabularyCut.ToBase;

    /// <inheritdoc/>
    public override ChunkCombiner Prepare(TensorInputs inputs)
    {
        var (job, models) = (inputs.Job, inputs.Job.Others.ToArray());
        var scale = job.Get("alpha") + job.Get("beta") * job.Depth;
        return LinearCombination.Of(models, Array.ConvertAll(models, i => scale * job.Get(i, "weight")), job.BaseIndex);
    }
}
