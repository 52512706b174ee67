using System.Buffers;
using System.Numerics.Tensors;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Inputs.Adapters;

/// <summary>W + scale B A, or with DoRA's magnitudes m: m (W + scale B A) / |W + scale B A| per output; computed in float32 and rounded once to
/// W's type.</summary>
internal sealed class AdaptedContent : ITensorContent
{
    private readonly Checkpoint _model;
    private readonly TensorInfo _weight;
    private readonly LowRankDelta _delta;
    private readonly Lazy<float[]>? _factors;
    private readonly bool _outputsAreColumns;

    /// <param name="model">The model's tensors.</param>
    /// <param name="weight">W.</param>
    /// <param name="delta">scale B A.</param>
    /// <param name="magnitudes">DoRA's m, one per output, or null.</param>
    /// <param name="outputsAreColumns">Whether W is stored [in, out], as embeddings are.</param>
    public AdaptedContent(Checkpoint model, TensorInfo weight, LowRankDelta delta, Func<float[]>? magnitudes, bool outputsAreColumns)
    {
        (_model, _weight, _delta, _outputsAreColumns) = (model, weight, delta, outputsAreColumns);
        _factors = magnitudes is null ? null : new Lazy<float[]>(() => Normalise(magnitudes()));
    }

    public string Form => _weight.Content is { } inner ? $"{inner.Form} + LoRA" : "LoRA";

    public void Read(long start, Span<float> destination)
    {
        Add(start, destination);
        if (_factors?.Value is { } factors)
            Scale(start, destination, factors);
        TensorCodec.Round(_weight.DType, destination);
    }

    private void Add(long start, Span<float> destination)
    {
        _delta.Read(start, destination);
        var rented = ArrayPool<float>.Shared.Rent(destination.Length);
        var scratch = ArrayPool<byte>.Shared.Rent(destination.Length * sizeof(double));
        var weights = rented.AsSpan(0, destination.Length);
        _model.Read(_weight, start, weights, scratch);
        TensorPrimitives.Add(weights, destination, destination);
        ArrayPool<float>.Shared.Return(rented);
        ArrayPool<byte>.Shared.Return(scratch);
    }

    private void Scale(long start, Span<float> values, float[] factors)
    {
        var columns = _delta.Columns;
        for (var done = 0; done < values.Length;)
        {
            var (row, column) = ((int)((start + done) / columns), (int)((start + done) % columns));
            var part = values.Slice(done, Math.Min(columns - column, values.Length - done));
            if (_outputsAreColumns)
                TensorPrimitives.Multiply(part, factors.AsSpan(column, part.Length), part);
            else
                TensorPrimitives.Multiply(part, factors[row], part);
            done += part.Length;
        }
    }

    /// <summary>m / |W + scale B A| per output, norms in double precision.</summary>
    private float[] Normalise(float[] magnitudes)
    {
        var (squares, row) = (new double[magnitudes.Length], new float[_delta.Columns]);
        for (var i = 0; i < _delta.Rows; i++)
        {
            Add((long)i * row.Length, row);
            if (!_outputsAreColumns)
                squares[i] = TensorMath.Dot(row, row);
            else
                for (var j = 0; j < row.Length; j++)
                    squares[j] += (double)row[j] * row[j];
        }

        return [.. magnitudes.Select((magnitude, i) => (float)(magnitude / Math.Sqrt(squares[i])))];
    }
}

/// <summary>A tensor of another file in place of the model's, rounded to the model's type.</summary>
internal sealed class ReplacedContent(Checkpoint checkpoint, TensorInfo tensor, DType type) : ITensorContent
{
    public string Form => "adapter";

    public void Read(long start, Span<float> destination)
    {
        var scratch = ArrayPool<byte>.Shared.Rent(destination.Length * sizeof(double));
        checkpoint.Read(tensor, start, destination, scratch);
        ArrayPool<byte>.Shared.Return(scratch);
        TensorCodec.Round(type, destination);
    }
}

/// <summary>A bias plus the scaled bias of B.</summary>
internal sealed class AdaptedBias(Checkpoint model, TensorInfo bias, Checkpoint adapter, AdapterModule module) : ITensorContent
{
    private readonly Lazy<float[]> _values = new(() =>
    {
        var (values, added) = (model.ReadAll(bias), adapter.ReadAll(module.BiasB!));
        for (var i = 0; i < values.Length; i++)
            values[i] += (float)module.Scale * added[i];
        TensorCodec.Round(bias.DType, values);
        return values;
    });

    public string Form => "LoRA";

    public void Read(long start, Span<float> destination) => _values.Value.AsSpan((int)start, destination.Length).CopyTo(destination);
}
