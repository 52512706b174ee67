using System.Numerics.Tensors;
using MergeKit.Inference.Backends.Cuda.Kernels;

namespace MergeKit.Inference.Backends.Cuda;

/// <summary>Hidden states to logits and log-probabilities on the device, in chunks of the vocabulary.</summary>
internal sealed class CudaHead(CudaContext cuda, CudaType type, DenseProduct product) : IDisposable
{
    /// <summary>Logits held at once: 32 MB in float32, so that they stay in the second-level cache.</summary>
    private const long ChunkFloats = 8L << 20;

    private const int RowBlock = 1024;
    private readonly CudaBuffer _rows = new(cuda), _gathered = new(cuda), _logits = new(cuda), _targets = new(cuda), _states = new(cuda);

    /// <summary>The logits of one row.</summary>
    public void Logits(HeadWeights weights, CudaBuffer hidden, int row, Span<float> logits)
    {
        var matrix = (CudaMatrix)weights.Output;
        Gather(hidden, [row]);
        var values = _logits.Resize(1, matrix.Rows, CudaType.Float32);
        product.Multiply(matrix.Weights, _gathered.Pointer, values, 1, matrix.Rows, matrix.Columns, type, CudaType.Float32, accumulate: false);
        if (matrix.Bias != 0)
            Elementwise.AddBias(cuda, values, matrix.Bias, 1, matrix.Rows);
        cuda.Stream.Download(values, logits);
        if (weights.Spec.Scale != 1)
            TensorPrimitives.Multiply(logits, weights.Spec.Scale, logits);
        if (weights.Spec.Softcap is not { } cap)
            return;
        TensorPrimitives.Divide(logits, cap, logits);
        TensorPrimitives.Tanh(logits, logits);
        TensorPrimitives.Multiply(logits, cap, logits);
    }

    /// <summary>ln p(target) of each row.</summary>
    public void Score(HeadWeights weights, CudaBuffer hidden, ReadOnlySpan<int> rows, ReadOnlySpan<int> targets, Span<float> logProbs, Span<bool> isArgMax)
    {
        for (var start = 0; start < rows.Length; start += RowBlock)
        {
            var count = Math.Min(RowBlock, rows.Length - start);
            Gather(hidden, rows.Slice(start, count));
            var states = Scan(weights, targets.Slice(start, count));
            for (var i = 0; i < count; i++)
            {
                logProbs[start + i] = states[i].LogProbability;
                isArgMax[start + i] = states[i].ArgMax == targets[start + i];
            }
        }
    }

    public void Dispose()
    {
        foreach (var buffer in new[] { _rows, _gathered, _logits, _targets, _states })
            buffer.Dispose();
    }

    private ScoreHead.State[] Scan(HeadWeights weights, ReadOnlySpan<int> targets)
    {
        var (matrix, count) = ((CudaMatrix)weights.Output, targets.Length);
        var width = (int)Math.Min(matrix.Rows, Math.Max(64, ChunkFloats / count / 64 * 64));
        var (logits, sent) = (_logits.Resize(count, width, CudaType.Float32), _targets.Fill(targets));
        var states = _states.Resize(count, 4, CudaType.Float32);
        ScoreHead.Start(cuda, states, count);
        for (var first = 0; first < matrix.Rows; first += width)
        {
            var columns = Math.Min(width, matrix.Rows - first);
            var part = matrix.Weights + (nint)((long)first * matrix.Columns * type.Size());
            product.Multiply(part, _gathered.Pointer, logits, count, columns, matrix.Columns, type, CudaType.Float32, accumulate: false);
            ScoreHead.Update(cuda, count, new ScoreHead.Parameters
            {
                Logits = logits,
                Bias = matrix.Bias,
                Targets = sent,
                States = states,
                Width = columns,
                First = first,
                Scale = weights.Spec.Scale,
                Softcap = weights.Spec.Softcap ?? 0,
            });
        }

        var result = new ScoreHead.State[count];
        cuda.Stream.Download<ScoreHead.State>(states, result);
        return result;
    }

    private void Gather(CudaBuffer hidden, ReadOnlySpan<int> rows)
    {
        var indices = _rows.Fill(rows);
        Elementwise.Gather(cuda, hidden.Pointer, hidden.Type, indices, _gathered.Resize(rows.Length, hidden.Columns, type), type, rows.Length, hidden.Columns);
    }
}
