using MergeKit.Core.Numerics;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.Methods;

/// <summary>Keeps the strongest singular directions of each task vector, a share of 1/K for K models, and orthogonalises them against each other before
/// adding (Gargiulo et al. 2024, "Task singular vectors: reducing task interference in model merging", arXiv 2412.00081). Tensors that are no matrix
/// with at least K rows and columns are averaged.</summary>
[MergeMethod]
public sealed class TsvM : MergeMethod
{
    /// <inheritdoc/>
    public override MethodDescription Description { get; } = new(
        "tsv_m",
        "Keeps the strongest singular directions of each task vector and makes those of different models orthogonal before adding them.",
        [ParameterSet.Number("lambda", 1.0, "Factor for the merged task vector.")]);

    /// <inheritdoc/>
    public override string Formula =>
        "D_i = U_i S_i V_i^T, cut to the floor(n/K) largest of its n singular values; U = [U_1 .. U_K], V = [V_1 .. V_K], S = diag(S_1 .. S_K); "
        + "R = W_b + lambda polar(U) S polar(V)^T, polar(X) = P Q^T for X = P T Q^T; W_b + lambda mean(D_i) for tensors that are no matrix";

    /// <inheritdoc/>
    public override string Paper => "Gargiulo et al. 2024, Task Singular Vectors (TSV-M), arXiv 2412.00081";

    /// <inheritdoc/>
    public override BaseRole Base => BaseRole.Required;

    /// <inheritdoc/>
    public override (int Least, int Most) SliceModels => (2, int.MaxValue);

    /// <inheritdoc/>
    public override VocabularyCut VocabularyCut => VocabularyCut.ToBase;

    /// <inheritdoc/>
    public override IEnumerable<string> Check(TensorJob job) => DeltaMatrix.Check(job);

    /// <inheritdoc/>
    public override long WorkingBytes(TensorJob job, int threads) => DeltaMatrix.Is(job, job.Others.Count) ? DeltaMatrix.Bytes(job, 4, 5) : 0;

    /// <inheritdoc/>
    public override IEnumerable<MatrixTask> Decompositions(TensorJob job)
    {
        if (!DeltaMatrix.Is(job, job.Others.Count))
            return [];
        var (shorter, longer) = (Math.Min(job.Shape[0], job.Shape[1]), Math.Max(job.Shape[0], job.Shape[1]));
        var kept = shorter / job.Others.Count * job.Others.Count;
        return [.. job.Others.Select(_ => DeltaMatrix.Task(job)), MatrixTask.SingularValues(kept, shorter), MatrixTask.SingularValues(kept, longer)];
    }

    /// <inheritdoc/>
    public override ChunkCombiner Prepare(TensorInputs inputs)
    {
        var (job, lambda) = (inputs.Job, inputs.Job.Get("lambda"));
        if (!DeltaMatrix.Is(job, job.Others.Count))
            return DeltaMatrix.Mean(job, lambda);
        var matrix = new DeltaMatrix(inputs);
        var (left, right, values) = (new List<double[]>(), new List<double[]>(), new List<double>());
        foreach (var model in job.Others)
        {
            var svd = matrix.Decompose(matrix.Sum(model));
            var keep = Math.Min(matrix.Rows / job.Others.Count, svd.Values.Length);
            left.AddRange(svd.Left[..keep]);
            right.AddRange(svd.Right[..keep]);
            values.AddRange(svd.Values[..keep]);
        }

        var (u, v) = (Polar([.. left], matrix), Polar([.. right], matrix));
        return matrix.Add(lambda, take => ThinSvd.Compose(u, [.. values], v, matrix.Rows, matrix.Loop, take));
    }

    /// <summary>The nearest orthonormal vectors to some vectors; where those depend on each other, only their span is kept.</summary>
    private static double[][] Polar(double[][] vectors, DeltaMatrix matrix)
    {
        var result = new double[vectors.Length][];
        matrix.Decompose([.. vectors.Select(vector => (double[])vector.Clone())]).Polar(1, vectors.Length, matrix.Loop, (i, row) => result[i] = row);
        return result;
    }
}
