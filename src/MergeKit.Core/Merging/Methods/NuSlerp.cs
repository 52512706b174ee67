using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.Methods;

/// <summary>Spherical interpolation of two models by weights, or of their task vectors where a base is given; per tensor, row or column
/// (Goddard et al. 2024, mergekit, arXiv 2403.13257, after Shoemake 1985).</summary>
[MergeMethod]
public sealed class NuSlerp : MergeMethod
{
    private const int Pairs = 3;
    private const double SmallestWeight = 1e-6, SmallestNorm = 1e-7, SmallestSine = 1e-8;

    /// <inheritdoc/>
    public override MethodDescription Description { get; } = new(
        "nuslerp",
        "Interpolates between two models, or their differences from a base, along the arc between their directions, by weights.",
        [
            ParameterSet.Weight,
            ParameterSet.Flag("nuslerp_flatten", true, "One angle for the whole tensor; false: one per line."),
            ParameterSet.Flag("nuslerp_row_wise", false, "With nuslerp_flatten: false, lines run along the first axis (columns of a matrix) instead of the last."),
        ]);

    /// <inheritdoc/>
    public override string Formula =>
        "t = w_2 / (w_1 + w_2), or 1/2 where |w_1 + w_2| < 1e-6; th = angle(V_1, V_2); R = (sin((1-t) th) V_1 + sin(t th) V_2) / sin th, "
        + "(1-t) V_1 + t V_2 where |sin th| < 1e-8; V_i = W_i, or D_i and R + W_b with a base";

    /// <inheritdoc/>
    public override string Paper => "Goddard et al. 2024, Arcee's MergeKit, arXiv 2403.13257; Shoemake 1985, Animating rotation with quaternion curves, SIGGRAPH";

    /// <inheritdoc/>
    public override BaseRole Base => BaseRole.Optional;

    /// <inheritdoc/>
    public override (int Least, int Most) SliceModels => (2, 3);

    /// <inheritdoc/>
    public override VocabularyCut VocabularyCut => VocabularyCut.ToSmallest;

    /// <inheritdoc/>
    public override IEnumerable<string> Check(TensorJob job)
    {
        if (job.Sources.Count > 1 && job.Others.Count != 2)
            yield return $"nuslerp interpolates between exactly two models, the base apart; here are {job.Others.Count}"
                + (job.Others.Count == 1 ? " (the base must not be one of the two)" : "");
    }

    /// <inheritdoc/>
    public override bool IsCopy(TensorJob job) => job.Sources.Count == 1;

    /// <inheritdoc/>
    public override long WorkingBytes(TensorJob job, int threads) => Lines(job) switch
    {
        { ByColumn: true } lines => TensorLines.ColumnBytes(job, lines.Columns, Pairs) + 2 * lines.Columns * sizeof(float),
        { Whole: false } lines => TensorLines.RowBytes(job, lines.Columns, Pairs) + 2 * TensorLines.Rows(job, lines.Columns) * sizeof(float),
        _ => 0,
    };

    /// <inheritdoc/>
    public override ChunkCombiner Prepare(TensorInputs inputs)
    {
        var job = inputs.Job;
        if (job.Sources.Count == 1)
            return (chunk, result) => chunk.Source(0).CopyTo(result);
        var (models, origin, lines) = (job.Others.ToArray(), job.BaseIndex, Lines(job));
        var (first, second) = (job.Get(models[0], "weight"), job.Get(models[1], "weight"));
        var t = Math.Abs(first + second) < SmallestWeight ? 0.5 : second / (first + second);
        if (job.Count == 0 || lines.Whole)
        {
            var gram = GramMatrix.Of(inputs, models, origin);
            var (a, b) = Shares(t, gram[0, 0], gram[0, 1], gram[1, 1]);
            return LinearCombination.Of(models, [a, b], origin);
        }

        return lines.ByColumn
            ? LinearCombination.OfColumns(models, ColumnFactors(inputs, models, origin, (int)lines.Columns, t), (int)lines.Columns, origin)
            : LinearCombination.OfRows(models, RowFactors(GramMatrix.OfRows(inputs, lines.Columns, models, origin), t), lines.Columns, origin);
    }

    /// <summary>What is one vector: the whole tensor, a line along the last axis, or one along the first.</summary>
    private static (bool Whole, bool ByColumn, long Columns) Lines(TensorJob job)
    {
        if (job.Is("nuslerp_flatten") || job.Shape.Count < 2 || job.Count == 0)
            return (true, false, job.Count);
        if (!job.Is("nuslerp_row_wise"))
            return (job.Shape[^1] == job.Count, false, job.Shape[^1]);
        var columns = job.Count / job.Shape[0];
        return (columns == 1, columns > 1, columns);
    }

    private static (double A, double B) Shares(double t, double square1, double dot, double square2)
    {
        var (norm1, norm2) = (Math.Max(Math.Sqrt(square1), SmallestNorm), Math.Max(Math.Sqrt(square2), SmallestNorm));
        var angle = Math.Acos(Math.Clamp(dot / norm1 / norm2, -1, 1));
        var sine = Math.Sin(angle);
        return Math.Abs(sine) < SmallestSine ? (1 - t, t) : (Math.Sin((1 - t) * angle) / sine, Math.Sin(t * angle) / sine);
    }

    private static float[] RowFactors(double[] pairs, double t)
    {
        var factors = new float[pairs.Length / Pairs * 2];
        for (var row = 0; row < pairs.Length / Pairs; row++)
        {
            var (a, b) = Shares(t, pairs[row * Pairs], pairs[row * Pairs + 1], pairs[row * Pairs + 2]);
            (factors[2 * row], factors[2 * row + 1]) = ((float)a, (float)b);
        }

        return factors;
    }

    private static float[] ColumnFactors(TensorInputs inputs, int[] models, int origin, int columns, double t)
    {
        var sums = inputs.SumColumns(columns, Pairs, (chunk, offset, length, column, sums) =>
        {
            var x = chunk.Source(models[0]).Slice(offset, length);
            var y = chunk.Source(models[1]).Slice(offset, length);
            var o = origin < 0 ? default : chunk.Source(origin).Slice(offset, length);
            for (var i = 0; i < length; i++)
            {
                double v1 = o.IsEmpty ? x[i] : x[i] - o[i], v2 = o.IsEmpty ? y[i] : y[i] - o[i];
                sums[column + i] += v1 * v1;
                sums[columns + column + i] += v1 * v2;
                sums[2 * columns + column + i] += v2 * v2;
            }
        });
        var factors = new float[2 * columns];
        for (var column = 0; column < columns; column++)
        {
            var (a, b) = Shares(t, sums[column], sums[columns + column], sums[2 * columns + column]);
            (factors[column], factors[columns + column]) = ((float)a, (float)b);
        }

        return factors;
    }
}
