using System.Buffers;

namespace MergeKit.Core.Checkpoints.Gguf;

/// <summary>[experts, rows, columns] from a stored [experts, columns, step rows]: element (e, r, c) is the stored (e, c, step r + phase).</summary>
/// <param name="file">The tensors.</param>
/// <param name="stored">The stored tensor.</param>
/// <param name="step">1, or 2 where two matrices are interleaved.</param>
/// <param name="phase">Which of them.</param>
internal sealed class ExpertsTransposed(Checkpoint file, TensorInfo stored, int step = 1, int phase = 0) : ITensorContent
{
    private readonly long _columns = stored.Shape[1], _line = stored.Shape[2], _rows = stored.Shape[2] / step;

    public string Form => stored.Content?.Form ?? "experts transposed";

    public void Read(long start, Span<float> destination)
    {
        for (var done = 0; done < destination.Length;)
        {
            var (expert, within) = Math.DivRem(start + done, _rows * _columns);
            var part = destination.Slice(done, (int)Math.Min(_rows * _columns - within, destination.Length - done));
            ReadExpert(expert, within, part);
            done += part.Length;
        }
    }

    private void ReadExpert(long expert, long start, Span<float> destination)
    {
        var (first, last) = (start / _columns, (start + destination.Length - 1) / _columns);
        var (values, scratch) = (new float[(last - first) * step + 1], new byte[((last - first) * step + 1) * sizeof(double)]);
        for (var column = 0L; column < _columns; column++)
        {
            file.Read(stored, (expert * _columns + column) * _line + first * step + phase, values, scratch);
            for (var row = first; row <= last; row++)
                if (row * _columns + column - start is >= 0 and var at && at < destination.Length)
                    destination[(int)at] = values[(row - first) * step];
        }
    }
}

/// <summary>Every second element of a stored tensor.</summary>
/// <param name="file">The tensors.</param>
/// <param name="stored">The stored tensor.</param>
/// <param name="phase">0 or 1.</param>
internal sealed class EverySecond(Checkpoint file, TensorInfo stored, int phase) : ITensorContent
{
    public string Form => stored.Content?.Form ?? "every second element";

    public void Read(long start, Span<float> destination)
    {
        var (values, scratch) = (ArrayPool<float>.Shared.Rent(2 * destination.Length), new byte[2 * destination.Length * sizeof(double)]);
        var length = 2 * destination.Length - 1;
        file.Read(stored, 2 * start + phase, values.AsSpan(0, length), scratch);
        for (var i = 0; i < destination.Length; i++)
            destination[i] = values[2 * i];
        ArrayPool<float>.Shared.Return(values);
    }
}

/// <summary>Two tensors of one shape, element by element in turn: (2 i + s) is element i of the first (s = 0) or second.</summary>
/// <param name="first">Reads the first.</param>
/// <param name="second">Reads the second.</param>
/// <param name="form">What they are.</param>
internal sealed class Interleaved(Interleaved.Reader first, Interleaved.Reader second, string form) : ITensorContent
{
    /// <summary>Reads elements of a tensor.</summary>
    public delegate void Reader(long start, Span<float> destination);

    public string Form => form;

    public void Read(long start, Span<float> destination)
    {
        if (destination.IsEmpty)
            return;
        var (from, to) = (start / 2, (start + destination.Length - 1) / 2);
        var (evens, odds) = (new float[to - from + 1], new float[to - from + 1]);
        first(from, evens);
        second(from, odds);
        for (var i = 0; i < destination.Length; i++)
            destination[i] = ((start + i) % 2 == 0 ? evens : odds)[(start + i) / 2 - from];
    }
}
