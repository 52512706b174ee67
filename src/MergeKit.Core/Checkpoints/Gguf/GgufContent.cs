using System.Buffers;

namespace MergeKit.Core.Checkpoints.Gguf;

/// <summary>Quantised elements of a GGUF file, decoded in float32 as the format defines them.</summary>
/// <param name="bytes">The file's tensor as raw bytes.</param>
/// <param name="raw">That tensor.</param>
/// <param name="type">Its form.</param>
internal sealed class GgufContent(Checkpoint bytes, TensorInfo raw, GgufType type) : ITensorContent
{
    public string Form => type.ToString();

    public void Read(long start, Span<float> destination)
    {
        var (elements, size) = type.Block()!.Value;
        var (first, last) = (start / elements, (start + destination.Length + elements - 1) / elements);
        var rented = ArrayPool<byte>.Shared.Rent(checked((int)(last - first) * size));
        var stored = rented.AsSpan(0, (int)(last - first) * size);
        bytes.Read(raw, first * size, stored);
        Span<float> block = stackalloc float[elements];
        for (var number = first; number < last; number++)
        {
            GgufBlocks.Decode(type, stored.Slice((int)(number - first) * size, size), block);
            var (from, to) = (Math.Max(start, number * elements), Math.Min(start + destination.Length, (number + 1) * elements));
            block[(int)(from - number * elements)..(int)(to - number * elements)].CopyTo(destination[(int)(from - start)..]);
        }

        ArrayPool<byte>.Shared.Return(rented);
    }
}

/// <summary>Some rows of a stored matrix or vector, perhaps in another order.</summary>
/// <param name="file">The file's tensors.</param>
/// <param name="stored">The stored tensor.</param>
/// <param name="columns">Elements of a row.</param>
/// <param name="rowOf">The stored row of each row.</param>
internal sealed class RowsContent(Checkpoint file, TensorInfo stored, long columns, Func<long, long> rowOf) : ITensorContent
{
    public string Form => stored.Content?.Form ?? "rows in another order";

    public void Read(long start, Span<float> destination)
    {
        var scratch = ArrayPool<byte>.Shared.Rent(checked((int)columns * sizeof(double)));
        for (var done = 0; done < destination.Length;)
        {
            var (row, column) = Math.DivRem(start + done, columns);
            var part = destination.Slice(done, (int)Math.Min(columns - column, destination.Length - done));
            file.Read(stored, rowOf(row) * columns + column, part, scratch);
            done += part.Length;
        }

        ArrayPool<byte>.Shared.Return(scratch);
    }
}

/// <summary>A stored vector with a constant added.</summary>
/// <param name="file">The file's tensors.</param>
/// <param name="stored">The stored tensor.</param>
/// <param name="added">The constant.</param>
internal sealed class ShiftedContent(Checkpoint file, TensorInfo stored, float added) : ITensorContent
{
    public string Form => stored.Content?.Form ?? "shifted";

    public void Read(long start, Span<float> destination)
    {
        var scratch = ArrayPool<byte>.Shared.Rent(checked(destination.Length * sizeof(double)));
        file.Read(stored, start, destination, scratch);
        ArrayPool<byte>.Shared.Return(scratch);
        System.Numerics.Tensors.TensorPrimitives.Add(destination, added, destination);
    }
}

/// <summary>The transpose of a matrix.</summary>
/// <param name="file">The tensors.</param>
/// <param name="stored">The matrix, [rows, columns]; this one is [columns, rows].</param>
internal sealed class TransposedContent(Checkpoint file, TensorInfo stored) : ITensorContent
{
    private readonly long _rows = stored.Shape[0], _columns = stored.Shape[1];

    public string Form => stored.Content?.Form ?? "transposed";

    public void Read(long start, Span<float> destination)
    {
        var (first, last) = (start / _rows, (start + destination.Length - 1) / _rows);
        var (values, scratch) = (new float[last - first + 1], new byte[(last - first + 1) * sizeof(double)]);
        for (var row = 0L; row < _rows; row++)
        {
            file.Read(stored, row * _columns + first, values, scratch);
            for (var column = first; column <= last; column++)
                if (column * _rows + row - start is >= 0 and var at && at < destination.Length)
                    destination[(int)at] = values[column - first];
        }
    }
}

/// <summary>Keys and values of latent attention in one matrix [heads x (key width + value width), rank], from keys [heads, rank, key width] and values
/// [heads, value width, rank].</summary>
/// <param name="file">The tensors.</param>
/// <param name="keys">Keys.</param>
/// <param name="values">Values.</param>
internal sealed class LatentContent(Checkpoint file, TensorInfo keys, TensorInfo values) : ITensorContent
{
    private readonly long _rank = values.Shape[2], _plain = keys.Shape[2], _width = values.Shape[1];

    public string Form => keys.Content?.Form ?? "keys and values apart";

    public void Read(long start, Span<float> destination)
    {
        var scratch = new byte[_rank * sizeof(double)];
        for (var done = 0; done < destination.Length;)
        {
            var (row, column) = Math.DivRem(start + done, _rank);
            var (head, within) = Math.DivRem(row, _plain + _width);
            var part = destination.Slice(done, (int)Math.Min(_rank - column, destination.Length - done));
            if (within >= _plain)
                file.Read(values, (head * _width + within - _plain) * _rank + column, part, scratch);
            for (var i = 0; i < part.Length && within < _plain; i++)
                file.Read(keys, (head * _rank + column + i) * _plain + within, part.Slice(i, 1), scratch);
            done += part.Length;
        }
    }
}
