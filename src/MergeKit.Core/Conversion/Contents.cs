using System.Buffers;
using System.Numerics.Tensors;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Conversion;

/// <summary>Tensors one after the other as one: their elements in row-major order follow each other.</summary>
internal sealed class StackedContent(Checkpoint checkpoint, IReadOnlyList<TensorInfo> parts) : ITensorContent
{
    private readonly long[] _starts = Starts(parts);

    public string Form => "several tensors";

    public void Read(long start, Span<float> destination)
    {
        var scratch = ArrayPool<byte>.Shared.Rent(destination.Length * sizeof(double));
        var part = Array.BinarySearch(_starts, start) is >= 0 and var exact ? exact : ~Array.BinarySearch(_starts, start) - 1;
        for (var done = 0; done < destination.Length; part++)
        {
            var from = start + done - _starts[part];
            var count = (int)Math.Min(parts[part].ElementCount - from, destination.Length - done);
            checkpoint.Read(parts[part], from, destination.Slice(done, count), scratch);
            done += count;
        }

        ArrayPool<byte>.Shared.Return(scratch);
    }

    private static long[] Starts(IReadOnlyList<TensorInfo> parts)
    {
        var (starts, sum) = (new long[parts.Count], 0L);
        for (var i = 0; i < starts.Length; i++)
            (starts[i], sum) = (sum, sum + parts[i].ElementCount);
        return starts;
    }
}

/// <summary>A run of a tensor's elements.</summary>
internal sealed class RangeContent(Checkpoint checkpoint, TensorInfo whole, long first) : ITensorContent
{
    public string Form => whole.Content?.Form ?? "a part";

    public void Read(long start, Span<float> destination)
    {
        var scratch = ArrayPool<byte>.Shared.Rent(destination.Length * sizeof(double));
        checkpoint.Read(whole, first + start, destination, scratch);
        ArrayPool<byte>.Shared.Return(scratch);
    }
}

/// <summary>Keys or values of fewer heads, each the mean of a group of neighbouring ones (Ainslie et al. 2023, "GQA"), or of more, each a copy.
/// Summed in float32 and rounded once to the tensor's type.</summary>
/// <param name="checkpoint">The model.</param>
/// <param name="tensor">[heads x head size, in], or a bias.</param>
/// <param name="oldHeads">Heads that are stored.</param>
/// <param name="newHeads">Heads that are wanted; one of the two numbers divides the other.</param>
internal sealed class PooledHeadsContent(Checkpoint checkpoint, TensorInfo tensor, int oldHeads, int newHeads) : ITensorContent
{
    private readonly long _columns = tensor.Shape.Count == 1 ? 1 : tensor.Shape[1];
    private readonly long _headRows = tensor.Shape[0] / oldHeads;

    public string Form => "pooled heads";

    public void Read(long start, Span<float> destination)
    {
        var (headElements, group) = (_headRows * _columns, Math.Max(1, oldHeads / newHeads));
        var rented = ArrayPool<float>.Shared.Rent(destination.Length);
        var scratch = ArrayPool<byte>.Shared.Rent(destination.Length * sizeof(double));
        for (var done = 0; done < destination.Length;)
        {
            var (head, within) = Math.DivRem(start + done, headElements);
            var part = destination.Slice(done, (int)Math.Min(headElements - within, destination.Length - done));
            var other = rented.AsSpan(0, part.Length);
            var first = head * oldHeads / newHeads;
            checkpoint.Read(tensor, first * headElements + within, part, scratch);
            for (var i = 1; i < group; i++)
            {
                checkpoint.Read(tensor, (first + i) * headElements + within, other, scratch);
                TensorPrimitives.Add(part, other, part);
            }

            if (group > 1)
                TensorPrimitives.Divide(part, group, part);
            done += part.Length;
        }

        TensorCodec.Round(tensor.DType, destination);
        ArrayPool<float>.Shared.Return(rented);
        ArrayPool<byte>.Shared.Return(scratch);
    }
}

/// <summary>A matrix with further rows, each the mean of the stored ones.</summary>
internal sealed class PaddedRowsContent(Checkpoint checkpoint, TensorInfo tensor) : ITensorContent
{
    private readonly int _columns = checked((int)tensor.Shape[1]);
    private readonly Lazy<float[]> _mean = new(() => Mean(checkpoint, tensor));

    public string Form => "padded rows";

    public void Read(long start, Span<float> destination)
    {
        var stored = (int)Math.Clamp(tensor.ElementCount - start, 0, destination.Length);
        var scratch = ArrayPool<byte>.Shared.Rent(Math.Max(1, stored) * sizeof(double));
        if (stored > 0)
            checkpoint.Read(tensor, start, destination[..stored], scratch);
        ArrayPool<byte>.Shared.Return(scratch);
        for (var i = stored; i < destination.Length; i++)
            destination[i] = _mean.Value[(int)((start + i) % _columns)];
    }

    private static float[] Mean(Checkpoint checkpoint, TensorInfo tensor)
    {
        var (row, sums) = (new float[tensor.Shape[1]], new double[tensor.Shape[1]]);
        var scratch = new byte[row.Length * sizeof(double)];
        for (var i = 0L; i < tensor.Shape[0]; i++)
        {
            checkpoint.Read(tensor, i * row.Length, row, scratch);
            for (var j = 0; j < row.Length; j++)
                sums[j] += row[j];
        }

        for (var j = 0; j < row.Length; j++)
            row[j] = (float)(sums[j] / tensor.Shape[0]);
        TensorCodec.Round(tensor.DType, row);
        return row;
    }
}
