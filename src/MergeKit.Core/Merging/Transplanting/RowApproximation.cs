using MergeKit.Core.Numerics;

namespace MergeKit.Core.Merging.Transplanting;

/// <summary>Approximates rows of the donor's matrix by combinations of its rows of shared tokens.</summary>
internal sealed class RowApproximation(TransplantOptions options, int threads, TransplantProgress progress, CancellationToken cancellation)
{
    private const int Batch = 48;
    private readonly ParallelOptions _parallel = new() { MaxDegreeOfParallelism = threads, CancellationToken = cancellation };

    /// <summary>Approximates vectors by few of others, by orthogonal matching pursuit.</summary>
    /// <param name="vectors">The others, one behind the other.</param>
    /// <param name="width">Elements of a vector.</param>
    /// <param name="wanted">The vectors to approximate.</param>
    public (int Index, float Factor)[][] Pursue(float[] vectors, int width, float[][] wanted)
    {
        var set = new GramRows(vectors, width, options.ProductBytes);
        progress.Begin(set.FitsWhole ? set.Count : 0, "products of shared tokens");
        set.Fill(_parallel, progress.Add);
        progress.Begin(wanted.Length, "directions approximated");
        var found = new (int, float)[wanted.Length][];
        Parallel.For(0, wanted.Length, _parallel, () => new MatchingPursuit(set, Math.Min(options.Neighbours, set.Count)), (i, _, pursuit) =>
        {
            var products = new float[set.Count];
            RowProducts.Multiply(wanted[i], set.All, width, products);
            found[i] = pursuit.Approximate(wanted[i], products);
            progress.Add(1);
            return pursuit;
        }, _ => { });
        return found;
    }

    /// <summary>The combinations, and the mean of what they leave: |row - combination| / |row|.</summary>
    /// <param name="matrix">The donor's matrix.</param>
    /// <param name="width">Elements of its rows.</param>
    /// <param name="shared">Its rows of shared tokens.</param>
    /// <param name="wanted">The rows to approximate.</param>
    /// <returns>For each wanted row its terms, as places in <paramref name="shared"/>.</returns>
    public ((int Index, float Factor)[][] Rows, double Residual) Approximate(ITensorSource matrix, int width, int[] shared, int[] wanted)
    {
        var set = new GramRows(ReadRows(matrix, width, shared), width, options.Method == TransplantMethod.Omp ? options.ProductBytes : 0);
        var batches = (wanted.Length + Batch - 1) / Batch;
        var (rows, residuals) = (new (int, float)[wanted.Length][], new double[wanted.Length]);
        if (options.Method == TransplantMethod.Omp)
        {
            progress.Begin(set.FitsWhole ? set.Count : 0, "products of shared tokens");
            set.Fill(_parallel, progress.Add);
        }

        progress.Begin(wanted.Length, "tokens approximated");
        Parallel.For(0, batches, _parallel, () => Solver(set), (batch, _, solve) =>
        {
            var part = wanted.AsSpan(batch * Batch, Math.Min(Batch, wanted.Length - batch * Batch)).ToArray();
            var targets = ReadRows(matrix, width, part);
            var products = new float[(long)part.Length * set.Count];
            RowProducts.Multiply(targets, set.All, width, products);
            for (var i = 0; i < part.Length; i++)
            {
                cancellation.ThrowIfCancellationRequested();
                var target = targets.AsSpan(i * width, width);
                var terms = rows[batch * Batch + i] = solve(target, products.AsSpan(i * set.Count, set.Count));
                residuals[batch * Batch + i] = Residual(set, target, terms);
                progress.Add(1);
            }

            return solve;
        }, _ => { });
        return (rows, residuals.DefaultIfEmpty(0).Average());
    }

    private delegate (int, float)[] Solve(ReadOnlySpan<float> target, Span<float> products);

    private Solve Solver(GramRows set)
    {
        var count = Math.Min(options.Neighbours, set.Count);
        if (options.Method == TransplantMethod.Omp)
            return new MatchingPursuit(set, count).Approximate;
        return new NeighbourInterpolation(set, count, options.Weights, options.Cosine).Approximate;
    }

    private static double Residual(GramRows set, ReadOnlySpan<float> target, (int Index, float Factor)[] terms)
    {
        var left = target.ToArray();
        foreach (var (index, factor) in terms)
            System.Numerics.Tensors.TensorPrimitives.MultiplyAdd(set.Vector(index), -factor, left, left);
        var norm = TensorMath.Dot(target, target);
        return norm == 0 ? 0 : Math.Sqrt(TensorMath.Dot(left, left) / norm);
    }

    /// <summary>Some rows of a matrix, one behind the other.</summary>
    public static float[] ReadRows(ITensorSource matrix, int width, int[] rows)
    {
        var (values, scratch) = (new float[checked(rows.Length * width)], new byte[width * sizeof(double)]);
        for (var i = 0; i < rows.Length; i++)
            matrix.Read((long)rows[i] * width, values.AsSpan(i * width, width), scratch);
        return values;
    }
}
