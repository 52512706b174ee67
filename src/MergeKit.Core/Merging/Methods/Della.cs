using MergeKit.Core.Merging.TaskVectors;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.Methods;

/// <summary>Drops entries of each task vector at random, small ones more often, rescales, and averages those whose signs agree. (Deep, Bhardwaj and Poria 2024, DELLA-Merging, arXiv 2406.11617).</summary>
[MergeMethod]
public sealed class Della : MergeMethod
{
    private static readonly TaskVectorScheme Scheme = new(Trim.Ranked, Consensus: true, Normalize: true, Rescale: true);

    /// <inheritdoc/>
    public override MethodDescription Description { get; } = Scheme.Describe("della", "Drops entries of each task vector at random, small ones more often, rescales, and averages those whose signs agree.");

    /// <inheritdoc/>
    public override string Formula => "T_i = D_i, entry of rank r of n in its row kept with probability density - epsilon + 2 epsilon r/(n-1), times sum|D_i| / sum|kept D_i|; E_i = w_i T_i; R = W_b + lambda (sum of the E_i with the sign of sum_j E_j) / (sum of their w_i)";

    /// <inheritdoc/>
    public override string Paper => "Deep, Bhardwaj and Poria 2024, DELLA-Merging, arXiv 2406.11617";

    /// <inheritdoc/>
    public override BaseRole Base => BaseRole.Required;

    /// <inheritdoc/>
    public override (int Least, int Most) SliceModels => (2, int.MaxValue);

    /// <inheritdoc/>
    public override VocabularyCut VocabularyCut => VocabularyCut.ToBase;

    /// <inheritdoc/>
    public override IEnumerable<string> Check(TensorJob job) => Scheme.Check(job);

    /// <inheritdoc/>
    public override long WorkingBytes(TensorJob job, int threads) => Scheme.WorkingBytes(job, threads);

    /// <inheritdoc/>
    public override MergeFormula AsFormula(TensorJob job, ulong seed) => Scheme.AsFormula(job, seed);

    /// <inheritdoc/>
    public override ChunkCombiner Prepare(TensorInputs inputs) => Scheme.Prepare(inputs);
}
