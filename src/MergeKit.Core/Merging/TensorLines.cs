namespace MergeKit.Core.Merging;

/// <summary>Folds what one piece of a line contributes into what the line has so far.</summary>
/// <param name="total">The line's accumulators.</param>
/// <param name="piece">The next piece's.</param>
public delegate void PieceFold(Span<double> total, ReadOnlySpan<double> piece);

/// <summary>Reductions per line of a tensor in one streaming pass. A line may be longer than a chunk; results depend on neither chunk size nor threads.</summary>
public static class TensorLines
{
    private const int MostBands = 64;
    private const long BandNumbers = 1 << 20;

    /// <summary>Extent of the last axis: the length of a row. A vector is one row, a scalar too.</summary>
    public static long Columns(IReadOnlyList<long> shape) => shape.Count == 0 ? 1 : shape[^1];

    /// <summary>Rows of a tensor whose rows have <paramref name="columns"/> elements.</summary>
    public static long Rows(TensorJob job, long columns) => columns == 0 ? 0 : job.Count / columns;

    /// <summary>Bytes that <see cref="ReduceRows"/> holds.</summary>
    public static long RowBytes(TensorJob job, long columns, int width) =>
        (2 * Rows(job, columns) + job.Count / TensorInputs.BlockElements + 1) * width * sizeof(double);

    /// <summary>Several reductions per row, <c>[rows, width]</c>.</summary>
    /// <param name="inputs">The tensor.</param>
    /// <param name="columns">Length of a row.</param>
    /// <param name="width">Accumulators per row.</param>
    /// <param name="body">Makes the accumulators of one piece of a row; pieces end where rows and summation blocks end.</param>
    /// <param name="fold">Joins pieces in order; null: they are added.</param>
    public static double[] ReduceRows(this TensorInputs inputs, long columns, int width, BlockSums body, PieceFold? fold = null)
    {
        const int block = TensorInputs.BlockElements;
        var rows = Rows(inputs.Job, columns);
        var blocks = (inputs.Count + block - 1) / block;
        var pieces = new double[checked((rows + blocks) * width)]; // row + block grows from piece to piece, so it numbers them
        inputs.ForEachChunk(chunk =>
        {
            var end = chunk.Start + chunk.Length;
            for (var at = chunk.Start; at < end;)
            {
                var (row, number) = (at / columns, at / block);
                var stop = Math.Min(end, Math.Min((row + 1) * columns, (number + 1) * block));
                body(chunk, (int)(at - chunk.Start), (int)(stop - at), pieces.AsSpan((int)((row + number) * width), width));
                at = stop;
            }
        });
        var totals = new double[rows * width];
        for (var row = 0L; row < rows; row++)
        {
            var total = totals.AsSpan((int)(row * width), width);
            var first = row * columns / block;
            pieces.AsSpan((int)((row + first) * width), width).CopyTo(total);
            for (var number = first + 1; number <= ((row + 1) * columns - 1) / block; number++)
                Fold(total, pieces.AsSpan((int)((row + number) * width), width), fold);
        }

        return totals;
    }

    /// <summary>Bytes that <see cref="SumColumns"/> holds.</summary>
    public static long ColumnBytes(TensorJob job, long columns, int width) =>
        (Bands(Rows(job, columns), columns, width) + 1L) * columns * width * sizeof(double);

    /// <summary>Several sums per line along the first axis, <c>[width, columns]</c>: the elements i columns + c, for all i, form line c.</summary>
    /// <param name="inputs">The tensor.</param>
    /// <param name="columns">Number of lines: the product of all extents but the first.</param>
    /// <param name="width">Sums per line.</param>
    /// <param name="body">Adds a run of neighbouring elements of one row to its columns' sums.</param>
    /// <remarks>Rows are split into bands whose number depends on the shape alone; each band is summed in order, then the bands.</remarks>
    public static double[] SumColumns(this TensorInputs inputs, long columns, int width, ColumnSums body)
    {
        var (rows, size) = (Rows(inputs.Job, columns), checked((int)(columns * width)));
        var bands = Bands(rows, columns, width);
        var partial = new double[bands][];
        inputs.ForEach(bands, (band, local) =>
        {
            var sums = partial[band] = new double[size];
            var end = rows * (band + 1) / bands * columns;
            for (var start = rows * band / bands * columns; start < end; start += local.ChunkElements)
                local.Range(start, (int)Math.Min(local.ChunkElements, end - start), chunk => AddRows(chunk, columns, sums, body));
        });
        for (var band = 1; band < bands; band++)
            Fold(partial[0], partial[band], null);
        return bands == 0 ? new double[size] : partial[0];
    }

    private static void AddRows(Chunk chunk, long columns, double[] sums, ColumnSums body)
    {
        for (var offset = 0; offset < chunk.Length;)
        {
            var column = (chunk.Start + offset) % columns;
            var length = (int)Math.Min(columns - column, chunk.Length - offset);
            body(chunk, offset, length, (int)column, sums);
            offset += length;
        }
    }

    private static int Bands(long rows, long columns, int width) =>
        (int)Math.Min(rows, Math.Clamp(BandNumbers / Math.Max(1, columns * width), 1, MostBands));

    private static void Fold(Span<double> total, ReadOnlySpan<double> piece, PieceFold? fold)
    {
        if (fold is not null)
            fold(total, piece);
        else
            System.Numerics.Tensors.TensorPrimitives.Add(total, piece, total);
    }
}

/// <summary>Adds a run of neighbouring elements of one row to the sums of their columns.</summary>
/// <param name="chunk">The chunk that holds the run.</param>
/// <param name="offset">The run's first element within the chunk.</param>
/// <param name="length">The run's length.</param>
/// <param name="column">Column of the first element.</param>
/// <param name="sums">All sums so far, <c>[width, columns]</c>.</param>
public delegate void ColumnSums(Chunk chunk, int offset, int length, int column, double[] sums);
