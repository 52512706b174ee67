using System.Numerics.Tensors;
using MergeKit.Core.Checkpoints;

namespace MergeKit.Core.Inputs.Adapters;

/// <summary>scale B A of one module, laid out like the stored weight: products L R with L [rows, rank] and R [rank, columns], summed in float32.
/// The decoded factors are kept while memory is not scarce.</summary>
internal sealed class LowRankDelta
{
    private readonly Checkpoint _checkpoint;
    private readonly AdapterModule _module;
    private readonly bool _transposed;
    private readonly WeakReference<Factors> _factors = new(null!);
    private readonly Lock _gate = new();

    /// <param name="checkpoint">The adapter's tensors.</param>
    /// <param name="module">The module.</param>
    /// <param name="transposed">Whether the weight is stored [in, out], or is an embedding: the delta is then (B A)^T.</param>
    public LowRankDelta(Checkpoint checkpoint, AdapterModule module, bool transposed)
    {
        (_checkpoint, _module, _transposed) = (checkpoint, module, transposed);
        (Rows, Columns) = transposed ? ((int)module.A.Shape[1], (int)module.B.Shape[0]) : ((int)module.B.Shape[0], (int)module.A.Shape[1]);
    }

    private sealed record Factors(float[] Left, float[] Right);

    public int Rows { get; }

    public int Columns { get; }

    /// <summary>Writes the delta's elements from <paramref name="start"/> on.</summary>
    public void Read(long start, Span<float> destination)
    {
        var (factors, rank) = (Decoded(), _module.Rank);
        for (var done = 0; done < destination.Length;)
        {
            var (row, column) = ((int)((start + done) / Columns), (int)((start + done) % Columns));
            var part = destination.Slice(done, Math.Min(Columns - column, destination.Length - done));
            part.Clear();
            for (var k = 0; k < rank; k++)
                TensorPrimitives.MultiplyAdd(factors.Right.AsSpan(k * Columns + column, part.Length), factors.Left[row * rank + k], part, part);
            TensorPrimitives.Multiply(part, (float)_module.Scale, part);
            done += part.Length;
        }
    }

    private Factors Decoded()
    {
        lock (_gate)
        {
            if (_factors.TryGetTarget(out var known))
                return known;
            var (a, b) = (_checkpoint.ReadAll(_module.A), _checkpoint.ReadAll(_module.B));
            var made = _transposed ? new Factors(Transpose(a, _module.Rank, Rows), Transpose(b, Columns, _module.Rank)) : new Factors(b, a);
            _factors.SetTarget(made);
            return made;
        }
    }

    private static float[] Transpose(float[] values, int rows, int columns)
    {
        var result = new float[values.Length];
        for (var i = 0; i < rows; i++)
            for (var j = 0; j < columns; j++)
                result[j * rows + i] = values[i * columns + j];
        return result;
    }
}
