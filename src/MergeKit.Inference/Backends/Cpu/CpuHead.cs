using System.Numerics.Tensors;
using MergeKit.Inference.Backends.Cpu.Kernels;

namespace MergeKit.Inference.Backends.Cpu;

/// <summary>Hidden states to logits and log-probabilities, in chunks of the vocabulary.</summary>
internal sealed class CpuHead(WorkerPool pool) : IDisposable
{
    private const int ChunkFloats = 1 << 21, LeastWidth = 256;
    private const int RowBlock = 1024;
    private readonly CpuBuffer _rows = new(), _chunk = new();

    /// <summary>The logits of as many rows as there is room for.</summary>
    public void Logits(HeadWeights weights, ReadOnlySpan<float> hidden, Span<float> logits)
    {
        var matrix = (CpuMatrix)weights.Output;
        var rows = logits.Length / matrix.Rows;
        matrix.Multiply(hidden[..(rows * matrix.Columns)], rows, logits, pool, accumulate: false);
        Finish(weights, logits);
    }

    /// <summary>ln p(target) = l(target) - ln sum exp(l), with a running maximum over the chunks.</summary>
    public void Score(HeadWeights weights, CpuBuffer hidden, ReadOnlySpan<int> rows, ReadOnlySpan<int> targets, Span<float> logProbs, Span<bool> isArgMax)
    {
        for (var start = 0; start < rows.Length; start += RowBlock)
        {
            var count = Math.Min(RowBlock, rows.Length - start);
            _rows.Resize(count, hidden.Columns);
            for (var i = 0; i < count; i++)
                hidden.Row(rows[start + i]).CopyTo(_rows.Row(i));
            var states = Scan(weights, targets.Slice(start, count).ToArray());
            for (var i = 0; i < count; i++)
            {
                logProbs[start + i] = (float)(states[i].Target - states[i].Total.Value);
                isArgMax[start + i] = states[i].Total.ArgMax == targets[start + i];
            }
        }
    }

    public void Dispose()
    {
        _rows.Dispose();
        _chunk.Dispose();
    }

    private State[] Scan(HeadWeights weights, int[] targets)
    {
        var (matrix, count) = ((CpuMatrix)weights.Output, targets.Length);
        var states = new State[count];
        Array.Fill(states, new State { Total = new LogSumExp() });
        var width = Math.Min(Math.Max(64, ChunkFloats / count), Math.Max(LeastWidth, 2 * matrix.Columns)); // a chunk of a narrow network stays in the cache
        for (var first = 0; first < matrix.Rows; first += width)
        {
            var (chunk, from) = (_chunk.Resize(count, Math.Min(width, matrix.Rows - first)), first);
            matrix.MultiplyRows(_rows.Span, count, first, chunk.Columns, chunk.Span, pool);
            pool.For(count, (row, _) =>
            {
                Finish(weights, chunk.Row(row));
                states[row].Take(chunk.Row(row), from, targets[row]);
            });
        }

        return states;
    }

    /// <summary>Scales and caps logits, in place.</summary>
    public static void Finish(HeadWeights weights, Span<float> logits)
    {
        if (weights.Spec.Scale != 1)
            TensorPrimitives.Multiply(logits, weights.Spec.Scale, logits);
        if (weights.Spec.Softcap is not { } cap)
            return;
        TensorPrimitives.Divide(logits, cap, logits);
        TensorPrimitives.Tanh(logits, logits);
        TensorPrimitives.Multiply(logits, cap, logits);
    }

    /// <summary>What is known of one row after some chunks.</summary>
    internal struct State
    {
        public LogSumExp Total;
        public float Target;

        public void Take(ReadOnlySpan<float> logits, int first, int target)
        {
            if (target >= first && target < first + logits.Length)
                Target = logits[target - first];
            VectorOps.Accumulate(logits, first, ref Total);
        }
    }
}
