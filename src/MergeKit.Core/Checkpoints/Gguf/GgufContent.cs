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

/// <summary>A matrix or vector whose rows stand in another order: llama.cpp keeps the two halves of each head of queries and keys interleaved.
/// Row (head, half, j) of the model is row (head, j, half) of the file.</summary>
internal sealed class InterleavedContent(Checkpoint file, TensorInfo stored, int heads) : ITensorContent
{
    private readonly long _columns = stored.Shape.Count == 1 ? 1 : stored.Shape[^1];

    public string Form => stored.Content?.Form ?? "interleaved rows";

    public void Read(long start, Span<float> destination)
    {
        var (rows, scratch) = (stored.Shape[0] / heads, ArrayPool<byte>.Shared.Rent((int)_columns * sizeof(double)));
        for (var done = 0; done < destination.Length;)
        {
            var (row, column) = Math.DivRem(start + done, _columns);
            var part = destination.Slice(done, (int)Math.Min(_columns - column, destination.Length - done));
            var (head, within) = Math.DivRem(row, rows);
            var (half, j) = Math.DivRem(within, rows / 2);
            file.Read(stored, (head * rows + 2 * j + half) * _columns + column, part, scratch);
            done += part.Length;
        }

        ArrayPool<byte>.Shared.Return(scratch);
    }
}
