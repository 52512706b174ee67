using System.Numerics.Tensors;
using MergeKit.Core.Ensembles;
using MergeKit.Core.Models;
using MergeKit.Inference.Backends.Cpu.Kernels;

namespace MergeKit.Inference.Backends.Cpu;

/// <summary>Sums of several models' logits. The sum of products is one product with a longer inner dimension, sum_k c_k W_k h_k = [W_1 .. W_K] [c_1 h_1; ..; c_K h_K]:
/// the coefficients go into the hidden states, every member's product adds to the same chunk of logits, and each chunk is looked at once. Members that share
/// their output matrix are one product of the sum of their states.</summary>
internal sealed class CpuCombinedHeads(WorkerPool pool) : IDisposable
{
    private const int ChunkFloats = 1 << 19;
    private const int RowBlock = 256;
    private readonly CpuBuffer _chunk = new(), _own = new();
    private readonly List<CpuBuffer> _states = [];

    /// <summary>Whether this can carry out a combination: a sum of logits, all rows on the CPU, every token possible.</summary>
    public static bool Takes(CombinedHeads heads) => heads.Combination.Form is { Rule: LawRule.LogitSum, NegativeFloor: double.NegativeInfinity, Plausible: double.NegativeInfinity }
        && heads.Heads.All(head => head.Backend is CpuBackend);

    /// <summary>ln p(target) and whether it was the most probable id.</summary>
    public void Score(CombinedHeads heads, ReadOnlySpan<int> targets, Span<float> logProbs, Span<bool> isArgMax)
    {
        for (var start = 0; start < heads.Rows; start += RowBlock)
        {
            var count = Math.Min(RowBlock, heads.Rows - start);
            var states = Scan(Terms(heads, start, count), heads.Combination.Vocabulary, targets.Slice(start, count).ToArray());
            for (var i = 0; i < count; i++)
            {
                logProbs[start + i] = (float)(states[i].Target - Finite(states[i].Total.Value));
                isArgMax[start + i] = states[i].Total.ArgMax == targets[start + i];
            }
        }
    }

    /// <summary>The laws, [rows, vocabulary].</summary>
    public void Combine(CombinedHeads heads, Span<float> logProbs)
    {
        var size = heads.Combination.Vocabulary;
        for (var row = 0; row < heads.Rows; row++)
        {
            var law = logProbs.Slice(row * size, size);
            var total = new LogSumExp();
            Sum(Terms(heads, row, 1), 1, 0, law);
            VectorOps.Accumulate(law, 0, ref total);
            TensorPrimitives.Subtract(law, (float)Finite(total.Value), law);
        }
    }

    public void Dispose()
    {
        _chunk.Dispose();
        _own.Dispose();
        _states.ForEach(states => states.Dispose());
    }

    private static double Finite(double total) => double.IsFinite(total) ? total
        : throw new EnsembleException(EnsembleError.NotANumber, $"ln sum e^z of the members' combined logits is {total}; their laws cannot be combined");

    /// <summary>The members' states times their coefficients; those of one matrix added up.</summary>
    private List<Term> Terms(CombinedHeads heads, int start, int count)
    {
        var terms = new List<Term>();
        for (var k = 0; k < heads.Heads.Count; k++)
        {
            var (head, hidden) = (heads.Heads[k], (CpuBuffer)heads.Heads[k].Hidden);
            var matrix = (CpuMatrix)head.Weights.Output;
            var isPlain = head.Weights.Spec.Softcap is null && matrix.Bias is null;
            var known = isPlain ? terms.FindIndex(term => term.IsPlain && term.Weights.Output == head.Weights.Output) : -1;
            if (known < 0)
            {
                if (_states.Count == terms.Count)
                    _states.Add(new CpuBuffer());
                _states[terms.Count].Resize(count, hidden.Columns).Span.Clear();
                terms.Add(new Term(head.Weights, matrix, _states[terms.Count], isPlain, [.. Enumerable.Range(start, count).Select(row => heads.Coefficient(row, k))]));
                known = terms.Count - 1;
            }

            for (var i = 0; i < count; i++)
            {
                var sum = _states[known].Row(i);
                TensorPrimitives.MultiplyAdd(hidden.Row(head.First + start + i), isPlain ? heads.Coefficient(start + i, k) * head.Weights.Spec.Scale : 1, sum, sum);
            }
        }

        return terms;
    }

    private CpuHead.State[] Scan(List<Term> terms, int vocabulary, int[] targets)
    {
        var states = new CpuHead.State[targets.Length];
        Array.Fill(states, new CpuHead.State { Total = new LogSumExp() });
        var width = Math.Max(64, ChunkFloats / targets.Length);
        for (var first = 0; first < vocabulary; first += width)
        {
            var (chunk, from) = (_chunk.Resize(targets.Length, Math.Min(width, vocabulary - first)), first);
            Sum(terms, targets.Length, first, chunk.Span);
            pool.For(targets.Length, (row, _) => states[row].Take(chunk.Row(row), from, targets[row]));
        }

        return states;
    }

    /// <summary>The summed logits of ids from <paramref name="first"/> on, [count, ids].</summary>
    private void Sum(List<Term> terms, int count, int first, Span<float> sums)
    {
        var width = sums.Length / count;
        var beta = 0;
        foreach (var term in terms.Where(term => term.IsPlain))
        {
            term.Matrix.MultiplyRows(term.States.Span, count, first, width, sums, pool, beta);
            beta = 1;
        }

        if (beta == 0)
            sums.Clear();
        foreach (var term in terms.Where(term => !term.IsPlain))
        {
            var own = _own.Resize(count, width);
            term.Matrix.MultiplyRows(term.States.Span, count, first, width, own.Span, pool);
            CpuHead.Finish(term.Weights, own.Span);
            for (var row = 0; row < count; row++)
                TensorPrimitives.MultiplyAdd(own.Row(row), term.Coefficients[row], sums.Slice(row * width, width), sums.Slice(row * width, width));
        }
    }

    /// <summary>One product. A plain one has its coefficients in its states; logits with a cap or a bias are multiplied afterwards.</summary>
    private sealed record Term(HeadWeights Weights, CpuMatrix Matrix, CpuBuffer States, bool IsPlain, float[] Coefficients);
}
