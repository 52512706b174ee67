using MergeKit.Core.Checkpoints;
using MergeKit.Core.Merging;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Moe;

/// <summary>What a tensor that decides on routes is for.</summary>
public enum GateRole
{
    /// <summary>The router, [experts, hidden].</summary>
    Router,

    /// <summary>The gate on the shared expert, [1, hidden].</summary>
    SharedGate,

    /// <summary>The bias that steers the choice only, [experts].</summary>
    Correction,
}

/// <summary>A routing tensor whose elements are not stored anywhere: they are worked out after planning and filled in before the run.</summary>
/// <param name="mixture">The mixture that it belongs to.</param>
/// <param name="role">What it is for.</param>
/// <param name="layer">Its layer.</param>
/// <param name="rows">Rows.</param>
/// <param name="columns">Columns; 1 for a vector.</param>
/// <param name="specification">What the elements depend on, so that equal descriptions mean equal elements.</param>
public sealed class GateSource(Mixture mixture, GateRole role, int layer, int rows, int columns, string specification) : ITensorSource
{
    private float[]? _values;

    /// <summary>The mixture that it belongs to.</summary>
    public Mixture Mixture => mixture;

    /// <summary>What it is for.</summary>
    public GateRole Role => role;

    /// <summary>Its layer.</summary>
    public int Layer => layer;

    /// <summary>Rows.</summary>
    public int Rows => rows;

    /// <summary>Columns; 1 for a vector.</summary>
    public int Columns => columns;

    /// <inheritdoc/>
    public string Description => $"gates ({specification})";

    /// <inheritdoc/>
    public DType Type => DType.F32;

    /// <inheritdoc/>
    public long Count => (long)rows * columns;

    /// <inheritdoc/>
    public (Checkpoint Checkpoint, TensorInfo Tensor)? Verbatim => null;

    /// <summary>The elements, row by row; empty until they are filled in.</summary>
    public ReadOnlySpan<float> Values => _values;

    /// <summary>Gives the elements.</summary>
    public void Fill(float[] values) =>
        _values = values.Length == Count ? values : throw new ArgumentException($"{values.Length} elements for {rows} x {columns}", nameof(values));

    /// <inheritdoc/>
    public void Read(long start, Span<float> destination, Span<byte> scratch) =>
        (_values ?? throw new InvalidOperationException($"the gates of layer {layer} have not been filled in")).AsSpan((int)start, destination.Length).CopyTo(destination);
}

/// <summary>A tensor of one value only.</summary>
/// <param name="Value">The value.</param>
/// <param name="Count">Number of elements.</param>
/// <param name="Type">Its type.</param>
internal sealed record ConstantSource(float Value, long Count, DType Type) : ITensorSource
{
    /// <inheritdoc/>
    public string Description => $"constant {Value}";

    /// <inheritdoc/>
    public (Checkpoint Checkpoint, TensorInfo Tensor)? Verbatim => null;

    /// <inheritdoc/>
    public void Read(long start, Span<float> destination, Span<byte> scratch) => destination.Fill(Value);
}
