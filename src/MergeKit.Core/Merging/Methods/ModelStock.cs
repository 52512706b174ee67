using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.Methods;

/// <summary>Between the base and the average of the fine-tunes, as far as the angle between their task vectors says (Jang, Yun and Han 2024,
/// "Model Stock: all we need is just a few fine-tuned models", arXiv 2403.19522).</summary>
[MergeMethod]
public sealed class ModelStock : MergeMethod
{
    private const double SmallestProduct = 1e-6, SmallestDivisor = 1e-12;

    /// <inheritdoc/>
    public override MethodDescription Description { get; } = new(
        "model_stock",
        "Goes from the base towards the average of the fine-tunes, the farther the more their task vectors agree.",
        [ParameterSet.Flag("filter_wise", false, "One angle per line along the last axis instead of one per tensor.")]);

    /// <inheritdoc/>
    public override string Formula =>
        "c = mean over pairs of D_i.D_j / max(|D_i||D_j|, 1e-6), each held in [-1, 1]; t = K c / (1 + (K-1) c), 0 where that divides by zero; "
        + "R = t mean(W_i) + (1-t) W_b";

    /// <inheritdoc/>
    public override string Paper => "Jang, Yun and Han 2024, Model Stock, arXiv 2403.19522";

    /// <inheritdoc/>
    public override BaseRole Base => BaseRole.Required;

    /// <inheritdoc/>
    public override (int Least, int Most) SliceModels => (3, int.MaxValue);

    /// <inheritdoc/>
    public override int LeastTensors => 3;

    /// <inheritdoc/>
    public override VocabularyCut VocabularyCut => VocabularyCut.ToSmallest;

    /// <inheritdoc/>
    public override long WorkingBytes(TensorJob job, int threads) => ByRow(job)
        ? TensorLines.RowBytes(job, job.Shape[^1], GramMatrix.Pairs(job.Others.Count)) + TensorLines.Rows(job, job.Shape[^1]) * job.Others.Count * sizeof(float)
        : 0;

    /// <inheritdoc/>
    public override ChunkCombiner Prepare(TensorInputs inputs)
    {
        var (job, models) = (inputs.Job, inputs.Job.Others.ToArray());
        if (!ByRow(job))
        {
            var share = Ratio(GramMatrix.Of(inputs, models, job.BaseIndex)) / models.Length;
            return LinearCombination.Of(models, Array.ConvertAll(models, _ => share), job.BaseIndex);
        }

        var (columns, pairs) = (job.Shape[^1], GramMatrix.Pairs(models.Length));
        var products = GramMatrix.OfRows(inputs, columns, models, job.BaseIndex);
        var factors = new float[products.Length / pairs * models.Length];
        for (var row = 0; row < products.Length / pairs; row++)
            factors.AsSpan(row * models.Length, models.Length).Fill(
                (float)(Ratio(GramMatrix.From(products.AsSpan(row * pairs, pairs), models.Length)) / models.Length));
        return LinearCombination.OfRows(models, factors, columns, job.BaseIndex);
    }

    private static bool ByRow(TensorJob job) => job.Is("filter_wise") && job.Count > 0 && job.Shape.Count > 1;

    /// <summary>t of the formula.</summary>
    private static double Ratio(GramMatrix gram)
    {
        var (sum, count) = (0.0, gram.Size);
        for (var i = 0; i < count; i++)
            for (var j = i + 1; j < count; j++)
                sum += Math.Clamp(gram[i, j] / Math.Max(gram.Norm(i) * gram.Norm(j), SmallestProduct), -1, 1);
        var cosine = sum / (count * (count - 1) / 2);
        var divisor = 1 + (count - 1) * cosine;
        return Math.Abs(divisor) < SmallestDivisor ? 0 : count * cosine / divisor;
    }
}
