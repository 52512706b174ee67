using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.Methods;

/// <summary>Sums the task vectors and makes every matrix isotropic: all singular values become their mean (Marczak et al. 2025, "No task left behind:
/// isotropic model merging with common and task-specific subspaces", arXiv 2502.04959). Tensors that are no matrix are averaged.</summary>
[MergeMethod]
public sealed class IsoC : MergeMethod
{
    /// <inheritdoc/>
    public override MethodDescription Description { get; } = new(
        "iso_c",
        "Sums task vectors and evens out the singular values of each matrix, so that no direction dominates.",
        [ParameterSet.Number("lambda", 1.0, "Factor for the merged task vector.")]);

    /// <inheritdoc/>
    public override string Formula =>
        "sum_i D_i = U S V^T; R = W_b + lambda mean(S) U V^T for matrices (directions with S = 0 stay out), W_b + lambda mean(D_i) for other tensors";

    /// <inheritdoc/>
    public override string Paper => "Marczak et al. 2025, No Task Left Behind (Iso-C), arXiv 2502.04959";

    /// <inheritdoc/>
    public override BaseRole Base => BaseRole.Required;

    /// <inheritdoc/>
    public override (int Least, int Most) SliceModels => (2, int.MaxValue);

    /// <inheritdoc/>
    public override VocabularyCut VocabularyCut => VocabularyCut.ToBase;

    /// <inheritdoc/>
    public override IEnumerable<string> Check(TensorJob job) => DeltaMatrix.Check(job);

    /// <inheritdoc/>
    public override long WorkingBytes(TensorJob job, int threads) => DeltaMatrix.Is(job, 1) ? DeltaMatrix.Bytes(job, 2, 3) : 0;

    /// <inheritdoc/>
    public override IEnumerable<MatrixTask> Decompositions(TensorJob job) => DeltaMatrix.Is(job, 1) ? [DeltaMatrix.Task(job)] : [];

    /// <inheritdoc/>
    public override ChunkCombiner Prepare(TensorInputs inputs)
    {
        var (job, lambda) = (inputs.Job, inputs.Job.Get("lambda"));
        if (!DeltaMatrix.Is(job, 1))
            return DeltaMatrix.Mean(job, lambda);
        var matrix = new DeltaMatrix(inputs);
        var svd = matrix.Decompose(matrix.Sum([.. job.Others]));
        return matrix.Add(lambda, take => svd.Polar(svd.Values.Sum() / matrix.Rows, matrix.Rows, matrix.Loop, take));
    }
}
