using System.Buffers;
using System.Numerics.Tensors;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Merging.Transplanting;

/// <summary>One term of a row.</summary>
/// <param name="Row">A row of the matrix; <see cref="Mean"/> for the mean of all.</param>
/// <param name="Factor">What it is multiplied by.</param>
internal readonly record struct RowTerm(int Row, float Factor)
{
    /// <summary>Stands for the mean of all rows.</summary>
    public const int Mean = -1;

    /// <summary>Stands for a row that <see cref="CombinedRows.Maker"/> makes.</summary>
    public const int Made = -2;
}

/// <summary>A matrix whose rows are sparse combinations of another's rows, made as they are read.</summary>
/// <param name="matrix">The other matrix.</param>
/// <param name="width">Elements of a row.</param>
/// <param name="rows">The terms of each row; no term: zeros. They may be set until the first read.</param>
/// <param name="used">Rows of the matrix that count for its mean.</param>
/// <param name="what">What was done, for descriptions.</param>
internal sealed class CombinedRows(ITensorSource matrix, int width, RowTerm[][] rows, int used, string what) : ITensorSource
{
    private readonly Lazy<float[]> _mean = new(() => RowMean.Of(matrix, width, Enumerable.Range(0, used)));

    /// <summary>Makes rows that are no combinations; set before the first read where there are such rows.</summary>
    public RowMaker? Maker { get; set; }

    /// <inheritdoc/>
    public string Description => $"{matrix.Description} ({what})";

    /// <summary>Rows of the other matrix.</summary>
    public int SourceRows => (int)(matrix.Count / width);

    /// <inheritdoc/>
    public DType Type => matrix.Type;

    /// <inheritdoc/>
    public long Count => (long)rows.Length * width;

    /// <inheritdoc/>
    public (Checkpoint Checkpoint, TensorInfo Tensor)? Verbatim => null;

    /// <inheritdoc/>
    public void Read(long start, Span<float> destination, Span<byte> scratch)
    {
        for (var done = 0; done < destination.Length;)
        {
            var (row, column) = ((int)((start + done) / width), (int)((start + done) % width));
            var part = destination.Slice(done, Math.Min(width - column, destination.Length - done));
            if (rows[row] is [{ Row: RowTerm.Made }])
                Make(row, column, part);
            else if (rows[row] is [{ Row: >= 0, Factor: 1 } only])
                matrix.Read((long)only.Row * width + column, part, scratch);
            else
                Combine(rows[row], column, part, scratch);
            done += part.Length;
        }
    }

    private void Make(int row, int column, Span<float> destination)
    {
        var whole = new float[width];
        Maker!(row, whole);
        whole.AsSpan(column, destination.Length).CopyTo(destination);
    }

    private void Combine(RowTerm[] terms, int column, Span<float> destination, Span<byte> scratch)
    {
        var buffer = ArrayPool<float>.Shared.Rent(destination.Length);
        var part = buffer.AsSpan(0, destination.Length);
        destination.Clear();
        foreach (var term in terms)
        {
            if (term.Row == RowTerm.Mean)
                _mean.Value.AsSpan(column, part.Length).CopyTo(part);
            else
                matrix.Read((long)term.Row * width + column, part, scratch);
            TensorPrimitives.MultiplyAdd(part, term.Factor, destination, destination);
        }

        ArrayPool<float>.Shared.Return(buffer);
    }
}
