using System.Buffers;
using System.Numerics.Tensors;

namespace MergeKit.Core.Checkpoints.Stored;

/// <summary>Narrow numbers with a scale per block of rows and columns: FP8 with block scales (DeepSeek-V3), per row or per tensor, and int8 per row
/// (bitsandbytes). W = q s f, computed in float32: exact but for one rounding of relative 2^-24.</summary>
/// <param name="checkpoint">The stored tensors.</param>
/// <param name="weight">q, [rows, columns].</param>
/// <param name="scale">s, [rows / rowsPerScale, columns / columnsPerScale], rounded up.</param>
/// <param name="blocks">Rows and columns that share a scale.</param>
/// <param name="factor">f.</param>
/// <param name="form">The form in words.</param>
internal sealed class ScaledContent(Checkpoint checkpoint, TensorInfo weight, TensorInfo scale, (long Rows, long Columns) blocks, float factor, string form) : ITensorContent
{
    private readonly long _columns = weight.Shape[^1];
    private readonly Lazy<float[]> _scales = new(() =>
    {
        var scales = checkpoint.ReadAll(scale);
        TensorPrimitives.Multiply(scales, factor, scales);
        return scales;
    });

    public string Form => form;

    public void Read(long start, Span<float> destination)
    {
        var scratch = ArrayPool<byte>.Shared.Rent(destination.Length * sizeof(double));
        checkpoint.Read(weight, start, destination, scratch);
        ArrayPool<byte>.Shared.Return(scratch);
        var (scales, perRow) = (_scales.Value, (_columns + blocks.Columns - 1) / blocks.Columns);
        for (var done = 0; done < destination.Length;)
        {
            var (row, column) = Math.DivRem(start + done, _columns);
            var end = Math.Min(_columns, (column / blocks.Columns + 1) * blocks.Columns);
            var part = destination.Slice(done, (int)Math.Min(end - column, destination.Length - done));
            TensorPrimitives.Multiply(part, scales[row / blocks.Rows * perRow + column / blocks.Columns], part);
            done += part.Length;
        }
    }
}
