using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using MergeKit.Core.Architectures;
using MergeKit.Inference.Backends.Cuda.Kernels;

namespace MergeKit.Inference.Backends.Cuda;

/// <summary>Hidden states to logits and log-probabilities on the device, in chunks of the vocabulary.</summary>
internal sealed class CudaHead(CudaContext cuda, CudaLinear linear) : IDisposable
{
    /// <summary>Logits held at once: 32 MB in float32, so that they stay in the second-level cache.</summary>
    private const long ChunkFloats = 8L << 20;

    private const int RowBlock = 1024, FusedRows = 8192;
    private readonly CudaType _type = linear.Type;
    private readonly CudaArgMax _argMax = new(cuda, linear);
    private readonly CudaBuffer _rows = new(cuda), _gathered = new(cuda), _logits = new(cuda), _targets = new(cuda), _states = new(cuda), _partials = new(cuda), _targetLogits = new(cuda);

    /// <summary>Bytes that logits, or what is kept of them, take at most.</summary>
    public static long WorkspaceBytes(NetworkSpec network) =>
        Math.Max(ChunkFloats, (long)CudaArgMax.MostRows * network.VocabularySize) * sizeof(float) + GroupedProduct.PartialBytes(FusedRows, network.VocabularySize);

    /// <summary>The logits of one row.</summary>
    public void Logits(HeadWeights weights, CudaBuffer hidden, int row, Span<float> logits)
    {
        var matrix = (CudaMatrix)weights.Output;
        var values = Multiply(matrix, hidden, row);
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

    /// <summary>Draws the next token of a row.</summary>
    public int Draw(HeadWeights weights, CudaBuffer hidden, int row, in DrawRule rule)
    {
        var matrix = (CudaMatrix)weights.Output;
        var values = Multiply(matrix, hidden, row);
        var (uniforms, ids) = (_states.Fill<double>([rule.Uniform]), _targets.Resize(1, 1, CudaType.Float32));
        DrawRows.Launch(cuda, rule, new DrawOperands(values, matrix.Bias, uniforms, ids, matrix.Rows, weights.Spec.Scale, weights.Spec.Softcap ?? 0), 1);
        var id = 0;
        cuda.Stream.Download(ids, new Span<int>(ref id));
        return id;
    }

    /// <summary>ln p(target) of each row. All work is queued before the first result is read.</summary>
    public void Score(HeadWeights weights, CudaBuffer hidden, ReadOnlySpan<int> rows, ReadOnlySpan<int> targets, Span<float> logProbs, Span<bool> isArgMax)
    {
        if (rows.IsEmpty)
            return;
        var (sentRows, sentTargets) = (_rows.Fill(rows), _targets.Fill(targets));
        var states = _states.Resize(rows.Length, 4, CudaType.Float32);
        ScoreHead.Start(cuda, states, rows.Length);
        var fused = IsFused((CudaMatrix)weights.Output);
        var block = fused ? FusedRows : RowBlock;
        for (var start = 0; start < rows.Length; start += block)
        {
            var count = Math.Min(block, rows.Length - start);
            Gather(hidden, sentRows + start * sizeof(int), count);
            var (target, state) = (sentTargets + start * sizeof(int), states + start * Unsafe.SizeOf<ScoreHead.State>());
            if (fused)
                ScanFused(weights, count, target, state);
            else
                Scan(weights, count, target, state);
        }

        var results = new ScoreHead.State[rows.Length];
        cuda.Stream.Download<ScoreHead.State>(states, results);
        for (var i = 0; i < results.Length; i++)
            (logProbs[i], isArgMax[i]) = (results[i].LogProbability, results[i].ArgMax == targets[i]);
    }

    /// <summary>The most probable next token of each row.</summary>
    public void ArgMax(HeadWeights weights, CudaBuffer hidden, ReadOnlySpan<int> rows, Span<int> ids)
    {
        for (var start = 0; start < rows.Length; start += CudaArgMax.MostRows)
        {
            var count = Math.Min(CudaArgMax.MostRows, rows.Length - start);
            Gather(hidden, _rows.Fill(rows.Slice(start, count)), count);
            _argMax.Queue(weights, _gathered.Pointer, count).Wait().Span.CopyTo(ids[start..]);
        }
    }

    /// <summary>The most probable next token of every row, without waiting.</summary>
    public IPendingIds QueueArgMax(HeadWeights weights, CudaBuffer hidden)
    {
        if (hidden.Type == _type && hidden.Rows <= CudaArgMax.MostRows)
            return _argMax.Queue(weights, hidden.Pointer, hidden.Rows);
        var ids = new int[hidden.Rows];
        ArgMax(weights, hidden, [.. Enumerable.Range(0, hidden.Rows)], ids);
        return new KnownIds(ids);
    }

    public void Dispose()
    {
        foreach (var buffer in new[] { _rows, _gathered, _logits, _targets, _states, _partials, _targetLogits })
            buffer.Dispose();
        _argMax.Dispose();
    }

    /// <summary>Whether the product itself keeps maxima and sums; few rows, and other devices, go through logits in chunks.</summary>
    private bool IsFused(CudaMatrix matrix) =>
        _type == CudaType.BFloat16 && cuda.Device.IsHopper && matrix.Columns % 8 == 0 && (matrix.Bias == 0 || matrix.Rows % 2 == 0);

    private void ScanFused(HeadWeights weights, int count, nint targets, nint states)
    {
        var matrix = (CudaMatrix)weights.Output;
        var operands = new ScoreOperands(
            _gathered.Pointer, matrix.Weights, matrix.Bias, targets, _partials.Resize(1, GroupedProduct.PartialBytes(count, matrix.Rows) / sizeof(float), CudaType.Float32),
            _targetLogits.Resize(count, 1, CudaType.Float32));
        GroupedProduct.LaunchScores(cuda, count, matrix.Rows, matrix.Columns, weights.Spec.Scale, weights.Spec.Softcap ?? 0, operands);
        ScoreHead.Merge(cuda, count, matrix.Rows, operands, states);
    }

    private void Scan(HeadWeights weights, int count, nint targets, nint states)
    {
        var matrix = (CudaMatrix)weights.Output;
        var width = (int)Math.Min(matrix.Rows, Math.Max(64, ChunkFloats / count / 64 * 64));
        var logits = _logits.Resize(count, width, CudaType.Float32);
        for (var first = 0; first < matrix.Rows; first += width)
        {
            var columns = Math.Min(width, matrix.Rows - first);
            var part = matrix.Weights + (nint)((long)first * matrix.Columns * _type.Size());
            linear.Multiply(part, _gathered.Pointer, logits, count, columns, matrix.Columns, CudaType.Float32, accumulate: false);
            ScoreHead.Update(cuda, count, new ScoreHead.Parameters
            {
                Logits = logits,
                Bias = matrix.Bias,
                Targets = targets,
                States = states,
                Width = columns,
                First = first,
                Scale = weights.Spec.Scale,
                Softcap = weights.Spec.Softcap ?? 0,
            });
        }
    }

    /// <summary>The bare product of one row, in float32.</summary>
    private nint Multiply(CudaMatrix matrix, CudaBuffer hidden, int row)
    {
        Gather(hidden, _rows.Fill<int>([row]), 1);
        var values = _logits.Resize(1, matrix.Rows, CudaType.Float32);
        linear.Multiply(matrix.Weights, _gathered.Pointer, values, 1, matrix.Rows, matrix.Columns, CudaType.Float32, accumulate: false);
        return values;
    }

    private void Gather(CudaBuffer hidden, nint rows, int count) => Elementwise.Gather(
        cuda, hidden.Pointer, hidden.Type, rows, _gathered.Resize(count, hidden.Columns, _type), _type, count, hidden.Columns);
}
