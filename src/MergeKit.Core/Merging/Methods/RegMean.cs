using MergeKit.Core.Numerics;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.Methods;

/// <summary>Finds for each linear layer the matrix whose outputs are nearest to those of all models on their own inputs (Jin et al. 2023, "Dataless
/// knowledge fusion by merging weights of language models", arXiv 2212.09849): a least-squares problem with the models' input products
/// G_i = X_i^T X_i, which <c>mergekit statistics</c> records. Other tensors are averaged.</summary>
[MergeMethod]
public sealed class RegMean : MergeMethod
{
    private const long MostInputs = 1 << 15;

    /// <inheritdoc/>
    public override MethodDescription Description { get; } = new(
        "regmean",
        "Solves for each linear layer the matrix whose outputs are nearest to those of all models; needs a statistics file, or texts to record them on, per model.",
        [
            ParameterSet.PerModel("weight", 1.0, "Factor of the model's products: w_i."),
            ParameterSet.Number("alpha", 0.9, "Factor of the products' elements off the diagonal; below 1 keeps the problem well posed, 0 weighs inputs one by one."),
        ]);

    /// <inheritdoc/>
    public override string Formula => "R^T = (sum_i w_i H_i)^-1 sum_i w_i H_i W_i^T, H_i = alpha G_i + (1 - alpha) diag(G_i); the weighted average for tensors without G_i. Cost: in^2 (in/3 + (K + 2) out) multiplications";

    /// <inheritdoc/>
    public override string Paper => "Jin et al. 2023, Dataless knowledge fusion by merging weights of language models (RegMean), arXiv 2212.09849";

    /// <inheritdoc/>
    public override StatisticsKind Statistics => StatisticsKind.InputProducts;

    /// <inheritdoc/>
    public override IEnumerable<string> Check(TensorJob job)
    {
        foreach (var complaint in CheckWeights(job))
            yield return complaint;
        if (job.Get("alpha") is < 0 or > 1)
            yield return $"parameter 'alpha' is {job.Get("alpha")}; 0 to 1 is wanted";
        if (IsSolved(job) && job.Shape[1] > MostInputs)
            yield return $"a problem of {job.Shape[1]:N0} inputs cannot be solved here; at most {MostInputs:N0} are possible";
    }

    /// <inheritdoc/>
    public override long WorkingBytes(TensorJob job, int threads) =>
        IsSolved(job) ? job.Shape[1] * (job.Shape[1] * (sizeof(double) + sizeof(float)) + 2 * job.Shape[0] * sizeof(double)) + job.Count * sizeof(float) : 0;

    /// <inheritdoc/>
    public override IEnumerable<MatrixTask> Decompositions(TensorJob job) => IsSolved(job) ? [MatrixTask.Cholesky(job.Shape[1], job.Shape[0])] : [];

    /// <inheritdoc/>
    public override ChunkCombiner Prepare(TensorInputs inputs)
    {
        var job = inputs.Job;
        if (!IsSolved(job))
            return Average(job);
        ParallelLoop loop = (count, body) => inputs.ForEach(count, (index, _) => body(index));
        var (size, outputs) = ((int)job.Shape[1], (int)job.Shape[0]);
        var (left, right) = (Rows(size, size), Rows(size, outputs));
        foreach (var source in job.Sources)
            Add(source, source.Parameters["weight"], job.Get("alpha"), left, right, loop);
        inputs.Solve(left, right, loop);
        var merged = new float[job.Count];
        loop(size, j =>
        {
            for (var i = 0; i < outputs; i++)
                merged[(long)i * size + j] = (float)right[j][i];
        });
        return (chunk, result) => merged.AsSpan((int)chunk.Start, result.Length).CopyTo(result);
    }

    /// <summary>A complaint about weights that an average cannot have.</summary>
    internal static IEnumerable<string> CheckWeights(TensorJob job)
    {
        if (job.Sources.Any(source => source.Parameters["weight"] < 0) || job.Sources.All(source => source.Parameters["weight"] == 0))
            yield return "the weights must be at least 0, and not all 0";
    }

    /// <summary>sum_i w_i W_i / sum_i w_i.</summary>
    internal static ChunkCombiner Average(TensorJob job)
    {
        var sum = job.Sources.Sum(source => source.Parameters["weight"]);
        return LinearCombination.Of([.. Enumerable.Range(0, job.Sources.Count)], [.. job.Sources.Select(source => source.Parameters["weight"] / sum)], -1);
    }

    private static bool IsSolved(TensorJob job) => job.Shape.Count == 2 && job.Sources.All(source => source.Statistics is not null);

    private static double[][] Rows(int rows, int columns) => [.. Enumerable.Range(0, rows).Select(_ => new double[columns])];

    /// <summary>left += w H, right += w H W^T.</summary>
    private static void Add(JobSource source, double weight, double alpha, double[][] left, double[][] right, ParallelLoop loop)
    {
        var (size, outputs) = (left.Length, right[0].Length);
        var (products, weights) = (ReadAll(source.Statistics!), ReadAll(source.Data));
        loop(size, row =>
        {
            var (scaled, sum) = (new double[size], new double[outputs]);
            for (var column = 0; column < size; column++)
                scaled[column] = weight * (column == row ? 1 : alpha) * products[(long)row * size + column];
            System.Numerics.Tensors.TensorPrimitives.Add(left[row], scaled, left[row]);
            for (var output = 0; output < outputs; output++)
            {
                var line = weights.AsSpan(output * size, size);
                var total = 0.0;
                for (var column = 0; column < size; column++)
                    total += scaled[column] * line[column];
                right[row][output] += total;
            }
        });
    }

    private static float[] ReadAll(ITensorSource source)
    {
        const int step = 1 << 16;
        var (values, scratch) = (new float[source.Count], new byte[step * sizeof(double)]);
        for (var start = 0; start < values.Length; start += step)
            source.Read(start, values.AsSpan(start, Math.Min(step, values.Length - start)), scratch);
        return values;
    }
}
