using MergeKit.Core.Numerics;

namespace MergeKit.Core.Merging.Transplanting;

/// <summary>Means of rows, and sums of products of their elements around the means, in double precision.</summary>
/// <param name="threads">Workers.</param>
/// <param name="progress">Told the rows that were read.</param>
/// <param name="cancellation">Stops.</param>
internal sealed class RowMoments(int threads, TransplantProgress progress, CancellationToken cancellation)
{
    private const int Batch = 256;
    private readonly ParallelOptions _parallel = new() { MaxDegreeOfParallelism = threads, CancellationToken = cancellation };

    /// <summary>sum over rows of (a - mean a)^T (b - mean b), [width of a, width of b].</summary>
    /// <param name="a">A matrix, its width, its rows, and their mean.</param>
    /// <param name="b">Another, with as many rows.</param>
    public double[][] Products((ITensorSource Matrix, int Width, int[] Rows, float[] Mean) a, (ITensorSource Matrix, int Width, int[] Rows, float[] Mean) b)
    {
        var sums = Enumerable.Range(0, a.Width).Select(_ => new double[b.Width]).ToArray();
        progress.Begin(a.Rows.Length, "rows of tokens read");
        for (var start = 0; start < a.Rows.Length; start += Batch)
        {
            var count = Math.Min(Batch, a.Rows.Length - start);
            var (left, right) = (Columns(a, start, count), Columns(b, start, count));
            Parallel.For(0, a.Width, _parallel, () => new float[b.Width], (i, _, products) =>
            {
                RowProducts.Multiply(left.AsSpan(i * count, count), right, count, products);
                for (var j = 0; j < products.Length; j++)
                    sums[i][j] += products[j];
                return products;
            }, _ => { });
            progress.Add(count);
        }

        return sums;
    }

    /// <summary>Calls a body on all workers.</summary>
    public void Run(int count, Action<int> body) => Parallel.For(0, count, _parallel, body);

    /// <summary>Some rows less their mean, element by element: [width, count].</summary>
    private static float[] Columns((ITensorSource Matrix, int Width, int[] Rows, float[] Mean) source, int start, int count)
    {
        var (columns, row, scratch) = (new float[source.Width * count], new float[source.Width], new byte[source.Width * sizeof(double)]);
        for (var i = 0; i < count; i++)
        {
            source.Matrix.Read((long)source.Rows[start + i] * source.Width, row, scratch);
            for (var j = 0; j < source.Width; j++)
                columns[j * count + i] = row[j] - source.Mean[j];
        }

        return columns;
    }
}
