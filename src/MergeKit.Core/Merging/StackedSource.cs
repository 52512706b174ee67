using MergeKit.Core.Checkpoints;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Merging;

/// <summary>Several tensors one after the other: row blocks of a matrix, or the matrices of a tensor with one more axis.</summary>
/// <param name="Parts">The parts, in order.</param>
/// <param name="Factors">What each part is multiplied by; null: nothing is.</param>
public sealed record StackedSource(IReadOnlyList<ITensorSource> Parts, IReadOnlyList<float>? Factors = null) : ITensorSource
{
    /// <inheritdoc/>
    public string Description => $"[{string.Join("; ", Parts.Select((part, i) => Factors is null || Factors[i] == 1 ? part.Description : $"{Factors[i]} x {part.Description}"))}]";

    /// <inheritdoc/>
    public DType Type { get; } = Parts[0].Type;

    /// <inheritdoc/>
    public long Count { get; } = Parts.Sum(part => part.Count);

    /// <inheritdoc/>
    public (Checkpoint Checkpoint, TensorInfo Tensor)? Verbatim => null;

    /// <inheritdoc/>
    public void Read(long start, Span<float> destination, Span<byte> scratch)
    {
        var first = 0L;
        for (var i = 0; i < Parts.Count && destination.Length > 0; first += Parts[i++].Count)
        {
            var inside = start - first;
            if (inside >= Parts[i].Count)
                continue;
            var take = (int)Math.Min(destination.Length, Parts[i].Count - inside);
            Parts[i].Read(inside, destination[..take], scratch);
            if (Factors is not null && Factors[i] != 1)
                System.Numerics.Tensors.TensorPrimitives.Multiply(destination[..take], Factors[i], destination[..take]);
            destination = destination[take..];
            start += take;
        }
    }
}

/// <summary>Matrices of equal height side by side.</summary>
/// <param name="Parts">The matrices, in order.</param>
/// <param name="Widths">Their columns.</param>
/// <param name="Factors">What each is multiplied by.</param>
public sealed record AdjoinedSource(IReadOnlyList<ITensorSource> Parts, IReadOnlyList<long> Widths, IReadOnlyList<float> Factors) : ITensorSource
{
    /// <inheritdoc/>
    public string Description => $"[{string.Join(" | ", Parts.Select((part, i) => Factors[i] == 1 ? part.Description : $"{Factors[i]} x {part.Description}"))}]";

    /// <inheritdoc/>
    public DType Type { get; } = Parts[0].Type;

    /// <inheritdoc/>
    public long Count { get; } = Parts.Sum(part => part.Count);

    /// <inheritdoc/>
    public (Checkpoint Checkpoint, TensorInfo Tensor)? Verbatim => null;

    /// <inheritdoc/>
    public void Read(long start, Span<float> destination, Span<byte> scratch)
    {
        var width = Widths.Sum();
        while (destination.Length > 0)
        {
            var (row, column) = Math.DivRem(start, width);
            var part = 0;
            for (; column >= Widths[part]; part++)
                column -= Widths[part];
            var take = (int)Math.Min(destination.Length, Widths[part] - column);
            Parts[part].Read((row * Widths[part]) + column, destination[..take], scratch);
            if (Factors[part] != 1)
                System.Numerics.Tensors.TensorPrimitives.Multiply(destination[..take], Factors[part], destination[..take]);
            destination = destination[take..];
            start += take;
        }
    }
}
