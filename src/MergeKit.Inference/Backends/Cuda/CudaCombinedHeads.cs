using System.Runtime.CompilerServices;
using MergeKit.Core.Ensembles;
using MergeKit.Core.Models;
using MergeKit.Inference.Backends.Cuda.Kernels;

namespace MergeKit.Inference.Backends.Cuda;

/// <summary>Laws of several models on one device that become one there. Scores of summed logits are one product with the members' inner dimensions one behind
/// the other, sum_k c_k W_k h_k, whose logits are never kept; whole laws are the members' logits and one pass over them.</summary>
internal sealed class CudaCombinedHeads(CudaContext cuda, CudaLinear linear) : IDisposable
{
    /// <summary>Rows of logits of all members that are held at once, in float32: 64 MB.</summary>
    private const long LogitFloats = 16L << 20;

    private const int FusedRows = 8192;
    private readonly CudaBuffer _factors = new(cuda), _targets = new(cuda), _states = new(cuda), _partials = new(cuda), _targetLogits = new(cuda), _laws = new(cuda);
    private readonly List<CudaBuffer> _inputs = [], _logits = [];

    /// <summary>ln p(target) of each row, for sums of logits; false where this is not the place for it.</summary>
    public bool TryScore(CombinedHeads heads, ReadOnlySpan<int> targets, Span<float> logProbs, Span<bool> isArgMax)
    {
        if (!Takes(heads) || heads.Combination.Form.Rule != LawRule.LogitSum || linear.Type != CudaType.BFloat16 || !cuda.Device.IsHopper
            || heads.Heads.Any(head => ((CudaMatrix)head.Weights.Output).Columns % 8 != 0))
            return false;
        Meet(heads);
        var (sent, vocabulary) = (_targets.Fill(targets), heads.Combination.Vocabulary);
        var states = _states.Resize(heads.Rows, 4, CudaType.Float32);
        for (var start = 0; start < heads.Rows; start += FusedRows)
        {
            var count = Math.Min(FusedRows, heads.Rows - start);
            var operands = new ScoreOperands(
                0, 0, 0, sent + (start * sizeof(int)), _partials.Resize(1, GroupedProduct.PartialBytes(count, vocabulary) / sizeof(float), CudaType.Float32),
                _targetLogits.Resize(count, 1, CudaType.Float32));
            GroupedProduct.LaunchSumScores(cuda, count, vocabulary, Weigh(heads, start, count), operands);
            ScoreHead.Merge(cuda, count, vocabulary, operands, states + (start * Unsafe.SizeOf<ScoreHead.State>()));
        }

        var results = new ScoreHead.State[heads.Rows];
        cuda.Stream.Download<ScoreHead.State>(states, results);
        for (var i = 0; i < results.Length; i++)
            (logProbs[i], isArgMax[i]) = (Finite(results[i].LogProbability), results[i].ArgMax == targets[i]);
        return true;
    }

    /// <summary>The laws, [rows, vocabulary]; false where this is not the place for it.</summary>
    public bool TryCombine(CombinedHeads heads, Span<float> logProbs)
    {
        if (!Takes(heads))
            return false;
        Meet(heads);
        var vocabulary = heads.Combination.Vocabulary;
        var block = (int)Math.Max(1, LogitFloats / ((long)vocabulary * heads.Heads.Count));
        for (var start = 0; start < heads.Rows; start += block)
        {
            var count = Math.Min(block, heads.Rows - start);
            var rows = new nint[heads.Heads.Count];
            for (var k = 0; k < rows.Length; k++)
                rows[k] = Logits(heads.Heads[k], start, count, vocabulary, k);
            var laws = _laws.Resize(count, vocabulary, CudaType.Float32);
            var coefficients = _factors.Fill(heads.Combination.Coefficients.Span.Slice(start * rows.Length, count * rows.Length));
            CombineRows.Launch(cuda, heads.Combination.Form.Rule, rows, coefficients, laws, count, vocabulary);
            var part = logProbs.Slice(start * vocabulary, count * vocabulary);
            cuda.Stream.Download(laws, part);
            for (var row = 0; row < count; row++)
                Finite(part[row * vocabulary]);
        }

        return true;
    }

    public void Dispose()
    {
        foreach (var buffer in new[] { _factors, _targets, _states, _partials, _targetLogits, _laws }.Concat(_inputs).Concat(_logits))
            buffer.Dispose();
    }

    /// <summary>Plain heads of one type on this device, and a rule that leaves every id possible.</summary>
    private bool Takes(CombinedHeads heads) =>
        heads.Combination.Form is { NegativeFloor: double.NegativeInfinity, Plausible: double.NegativeInfinity } && heads.Heads.Count <= CombineRows.MostMembers
        && heads.Heads.All(head => head.Backend is CudaBackend backend && backend.Cuda.Device.Index == cuda.Device.Index && head.Weights.Spec.Softcap is null
            && ((CudaMatrix)head.Weights.Output).Bias == 0 && backend.Type == linear.Type);

    /// <summary>What other members' streams have still to compute is waited for; this one's comes before what is queued here.</summary>
    private void Meet(CombinedHeads heads)
    {
        foreach (var other in heads.Heads.Select(head => ((CudaBackend)head.Backend).Cuda).Where(other => other != cuda).Distinct())
            other.Stream.Synchronize();
        cuda.MakeCurrent();
    }

    /// <summary>The members' states times their coefficients.</summary>
    private ScorePart[] Weigh(CombinedHeads heads, int start, int count)
    {
        var factors = new float[heads.Heads.Count * count];
        for (var k = 0; k < heads.Heads.Count; k++)
            for (var i = 0; i < count; i++)
                factors[(k * count) + i] = heads.Coefficient(start + i, k) * heads.Heads[k].Weights.Spec.Scale;
        var sent = _factors.Fill<float>(factors);
        var parts = new ScorePart[heads.Heads.Count];
        for (var k = 0; k < parts.Length; k++)
        {
            var (head, hidden, matrix) = (heads.Heads[k], (CudaBuffer)heads.Heads[k].Hidden, (CudaMatrix)heads.Heads[k].Weights.Output);
            var input = Buffer(_inputs, k).Resize(count, hidden.Columns, linear.Type);
            Elementwise.Weigh(cuda, At(hidden, head.First + start), hidden.Type, sent + (k * count * sizeof(float)), input, linear.Type, count, hidden.Columns);
            parts[k] = new ScorePart(input, matrix.Weights, matrix.Columns);
        }

        return parts;
    }

    /// <summary>The logits of one member.</summary>
    private nint Logits(HeadRows head, int start, int count, int vocabulary, int k)
    {
        var (hidden, matrix) = ((CudaBuffer)head.Hidden, (CudaMatrix)head.Weights.Output);
        var input = At(hidden, head.First + start);
        if (hidden.Type != linear.Type || head.Weights.Spec.Scale != 1)
        {
            var factors = new float[count];
            Array.Fill(factors, head.Weights.Spec.Scale);
            var weighed = Buffer(_inputs, k).Resize(count, hidden.Columns, linear.Type);
            Elementwise.Weigh(cuda, input, hidden.Type, _factors.Fill<float>(factors), weighed, linear.Type, count, hidden.Columns);
            input = weighed;
        }

        var logits = Buffer(_logits, k).Resize(count, vocabulary, CudaType.Float32);
        linear.Multiply(matrix.Weights, input, logits, count, vocabulary, matrix.Columns, CudaType.Float32, accumulate: false);
        return logits;
    }

    private CudaBuffer Buffer(List<CudaBuffer> buffers, int index)
    {
        while (buffers.Count <= index)
            buffers.Add(new CudaBuffer(cuda));
        return buffers[index];
    }

    private static nint At(CudaBuffer buffer, int row) => buffer.Pointer + (nint)((long)row * buffer.Columns * buffer.Type.Size());

    private static float Finite(float logProb) => !float.IsNaN(logProb) && logProb < float.PositiveInfinity ? logProb
        : throw new EnsembleException(EnsembleError.NotANumber, $"a combined log-probability is {logProb}; the members' laws cannot be combined");
}
