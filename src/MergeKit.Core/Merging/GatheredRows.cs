using System.IO.Hashing;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Merging;

/// <summary>An embedding or head in another numbering of its rows, gathered by index as it is read. Runs of rows that stay together are read together.</summary>
public sealed class GatheredRows : ITensorSource
{
    private readonly RowTable _table;
    private readonly IReadOnlyList<ITensorSource> _matrices;
    private readonly int _input;
    private readonly int _width;
    private readonly Lazy<float[]> _mean;
    private readonly Lazy<string> _description;

    /// <summary>The matrix <paramref name="input"/> in the numbering of a table.</summary>
    /// <param name="table">The numbering.</param>
    /// <param name="matrices">The inputs, then matrices that only lend rows; all <paramref name="width"/> wide.</param>
    /// <param name="input">Which input this is.</param>
    /// <param name="width">Elements of a row.</param>
    public GatheredRows(RowTable table, IReadOnlyList<ITensorSource> matrices, int input, long width)
    {
        (_table, _matrices, _input, _width) = (table, matrices, input, checked((int)width));
        _mean = new Lazy<float[]>(MeanOfRows);
        _description = new Lazy<string>(() => $"{Own.Description} (rows by token, {Digest()})");
    }

    /// <inheritdoc/>
    public string Description => _description.Value;

    /// <inheritdoc/>
    public DType Type => Own.Type;

    /// <inheritdoc/>
    public long Count => (long)_table.Rows * _width;

    /// <inheritdoc/>
    public (Checkpoint Checkpoint, TensorInfo Tensor)? Verbatim => null;

    private ITensorSource Own => _matrices[_input];

    /// <inheritdoc/>
    public void Read(long start, Span<float> destination, Span<byte> scratch)
    {
        for (var done = 0; done < destination.Length;)
        {
            var (row, column) = ((int)((start + done) / _width), (int)((start + done) % _width));
            var source = _table.Of(_input, row);
            var length = Math.Min(_width - column, destination.Length - done);
            if (source.Matrix < 0)
            {
                Special(row, source, column, destination.Slice(done, length), scratch);
            }
            else
            {
                for (var next = 1; done + length < destination.Length && _table.Of(_input, row + next) == source with { Row = source.Row + next }; next++)
                    length = Math.Min(length + _width, destination.Length - done);
                ReadMatrix(source, column, destination.Slice(done, length), scratch);
            }

            done += length;
        }
    }

    private void ReadMatrix(RowSource source, int column, Span<float> destination, Span<byte> scratch)
    {
        var matrix = _matrices[source.Matrix];
        matrix.Read((long)source.Row * _width + column, destination, scratch);
        if (!TensorCodec.IsExact(matrix.Type, Type))
            TensorCodec.Round(Type, destination);
    }

    private void Special(int row, RowSource source, int column, Span<float> destination, Span<byte> scratch)
    {
        destination.Clear();
        if (source == RowSource.MeanOfRows)
        {
            _mean.Value.AsSpan(column, destination.Length).CopyTo(destination);
        }
        else if (source == RowSource.MeanOfOwners)
        {
            var (part, owners) = (new float[destination.Length], 0);
            foreach (var owner in _table.Owners(row))
            {
                ReadMatrix(owner, column, part, scratch);
                TensorPrimitives.Add(destination, part, destination);
                owners++;
            }

            TensorPrimitives.Divide(destination, owners, destination);
            TensorCodec.Round(Type, destination);
        }
    }

    private float[] MeanOfRows()
    {
        var mean = RowMean.Of(this, _width, Enumerable.Range(0, _table.Rows).Where(_table.IsToken));
        TensorCodec.Round(Type, mean);
        return mean;
    }

    /// <summary>Differs where the numbering differs.</summary>
    private string Digest()
    {
        var hash = new XxHash64();
        var sources = new RowSource[_table.Rows];
        for (var row = 0; row < sources.Length; row++)
            sources[row] = _table.Of(_input, row);
        hash.Append(MemoryMarshal.AsBytes<RowSource>(sources));
        foreach (var matrix in _matrices)
            hash.Append(System.Text.Encoding.UTF8.GetBytes(matrix.Description));
        return Convert.ToHexStringLower(hash.GetCurrentHash())[..8];
    }
}
