using System.Numerics.Tensors;
using MergeKit.Core.Ensembles;
using MergeKit.Core.Models;
using MergeKit.Inference.Backends.Cpu.Kernels;

namespace MergeKit.Inference.Backends.Cpu;

/// <summary>Laws of several models combined. The sum of products is one product with a longer inner dimension, sum_k c_k W_k h_k = [W_1 .. W_K] [c_1 h_1; ..; c_K h_K]:
/// the coefficients go into the hidden states, every member's product adds to the same chunk of logits, and each chunk is looked at once. Members that share
/// their output matrix are one product of the sum of their states. Mixtures are computed for a few rows only, those of decoding.</summary>
internal sealed class CpuCombinedHeads(WorkerPool pool) : IDisposable
{
    private const int ChunkFloats = 1 << 19;
    private const int RowBlock = 256, Columns = 1 << 13, MixedRows = 4;
    private readonly CpuBuffer _chunk = new(), _own = new();
    private readonly List<CpuBuffer> _states = [];
    private readonly List<float[]> _rows = [];

    /// <summary>Whether <see cref="Combine"/> can carry out a combination: all rows on the CPU, every token possible, and of mixtures a few rows.</summary>
    public static bool CanCombine(CombinedHeads heads) => CanScore(heads)
        || (heads.Combination.Form.Rule == LawRule.Mixture && heads.Rows <= MixedRows && heads.Heads.All(head => head.Backend is CpuBackend));

    /// <summary>Whether <see cref="Score"/> can: a mixture would need the members' normalisers before their products.</summary>
    public static bool CanScore(CombinedHeads heads) =>
        heads.Combination.Form is { Rule: LawRule.LogitSum, NegativeFloor: double.NegativeInfinity, Plausible: double.NegativeInfinity } && heads.Heads.All(head => head.Backend is CpuBackend);

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
        if (heads.Combination.Form.Rule == LawRule.Mixture)
            for (var row = 0; row < heads.Rows; row++)
                Mix(heads, row, logProbs.Slice(row * size, size));
        else
            for (var start = 0; start < heads.Rows; start += RowBlock)
            {
                var count = Math.Min(RowBlock, heads.Rows - start);
                Sum(Terms(heads, start, count), count, 0, logProbs.Slice(start * size, count * size));
                Normalize(logProbs.Slice(start * size, count * size), size);
            }
    }

    private unsafe void Normalize(Span<float> laws, int size)
    {
        fixed (float* first = laws)
        {
            var address = (nint)first;
            pool.For(laws.Length / size, (row, _) =>
            {
                var law = new Span<float>((float*)address + ((long)row * size), size);
                var total = new LogSumExp();
                VectorOps.Accumulate(law, 0, ref total);
                TensorPrimitives.Subtract(law, (float)Finite(total.Value), law);
            });
        }
    }

    /// <summary>ln sum_k e^(c_k + l_k) of one row.</summary>
    private unsafe void Mix(CombinedHeads heads, int row, Span<float> law)
    {
        var (count, size) = (heads.Heads.Count, law.Length);
        while (_rows.Count < count)
            _rows.Add([]);
        var (offsets, rows) = (new float[count], new ReadOnlyMemory<float>[count]);
        for (var k = 0; k < count; k++)
        {
            var (head, own) = (heads.Heads[k], _rows[k] = _rows[k].Length < size ? new float[size] : _rows[k]);
            (rows[k], offsets[k]) = (own.AsMemory(0, size), heads.Coefficient(row, k));
            if (float.IsNegativeInfinity(offsets[k]))
                continue;
            ((CpuMatrix)head.Weights.Output).MultiplyRows(((CpuBuffer)head.Hidden).Row(head.First + row), 1, 0, size, own.AsSpan(0, size), pool);
            CpuHead.Finish(head.Weights, own.AsSpan(0, size));
        }

        pool.For(count, (k, _) =>
        {
            var total = new LogSumExp();
            if (float.IsNegativeInfinity(offsets[k]))
                return;
            VectorOps.Accumulate(rows[k].Span, 0, ref total);
            offsets[k] -= (float)Finite(total.Value);
        });
        fixed (float* result = law)
        {
            var address = (nint)result;
            pool.For((size + Columns - 1) / Columns, (part, _) =>
            {
                var (start, width) = (part * Columns, Math.Min(Columns, size - (part * Columns)));
                RowMath.LogSumExp<float>(Array.ConvertAll(rows, one => one.Slice(start, width)), offsets, new Span<float>((float*)address + start, width));
            });
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
