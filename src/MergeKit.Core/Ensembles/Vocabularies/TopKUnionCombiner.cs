using System.Numerics;
using MergeKit.Core.Ensembles.Combiners;

namespace MergeKit.Core.Ensembles.Vocabularies;

/// <summary>A mixture over what any member has among its k best (UniTE, Yao et al. 2025): the candidates are the union of the members' k best tokens;
/// each member's law is its softmax over the candidates, and these are averaged. All other tokens are impossible.</summary>
/// <remarks>Rows are over the union of the vocabularies; where a member lacks a token, its row holds what stands in for it.</remarks>
public sealed class TopKUnionCombiner : ICombiner
{
    private readonly LinearCombiner _mixture;
    private readonly IReadOnlyList<int[]> _own;
    private readonly int _k;

    /// <summary>A mixture over candidates.</summary>
    /// <param name="weights">One per member, none negative.</param>
    /// <param name="k">How many tokens each member proposes, at least 1.</param>
    /// <param name="own">Per member the places of its own tokens in the union, in the order of its ids.</param>
    /// <exception cref="EnsembleException">A weight or k is outside its range.</exception>
    public TopKUnionCombiner(IReadOnlyList<double> weights, int k, IReadOnlyList<int[]> own)
    {
        (_mixture, _k, _own) = (new LinearCombiner(weights), k, own);
        if (k < 1)
            throw new EnsembleException(EnsembleError.InvalidParameter, $"k is {k}: at least 1 is wanted");
    }

    /// <inheritdoc/>
    public int Members => _mixture.Members;

    /// <inheritdoc/>
    public bool Reads(int member) => _mixture.Reads(member);

    /// <summary>The candidates: member by member, each one's best first; of equals the lower id of that member first.</summary>
    public IReadOnlyList<int> Candidates<T>(ReadOnlySpan<ReadOnlyMemory<T>> members)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var (candidates, seen) = (new List<int>(), new HashSet<int>());
        for (var k = 0; k < members.Length; k++)
            if (Reads(k))
                foreach (var place in Best(members[k].Span, _own[k], _k))
                    if (seen.Add(place))
                        candidates.Add(place);
        return candidates;
    }

    /// <inheritdoc/>
    public void Combine<T>(in StepContext step, ReadOnlySpan<ReadOnlyMemory<T>> members, Span<T> logProbs)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        RowMath.CheckLengths(members, this, logProbs.Length);
        var candidates = Candidates(members);
        var rows = new ReadOnlyMemory<T>[members.Length];
        for (var k = 0; k < rows.Length; k++)
            if (Reads(k))
                rows[k] = Gather(members[k].Span, candidates);
        var combined = new T[candidates.Count];
        _mixture.Combine(step, rows, combined);
        logProbs.Fill(T.NegativeInfinity);
        for (var i = 0; i < combined.Length; i++)
            logProbs[candidates[i]] = combined[i];
    }

    private static T[] Gather<T>(ReadOnlySpan<T> row, IReadOnlyList<int> places)
    {
        var values = new T[places.Count];
        for (var i = 0; i < values.Length; i++)
            values[i] = row[places[i]];
        return values;
    }

    /// <summary>The places of the k largest values, largest first, by a heap of the k largest seen.</summary>
    private static int[] Best<T>(ReadOnlySpan<T> row, int[] own, int k)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        var heap = new PriorityQueue<int, (T Value, int Id)>(Comparer<(T Value, int Id)>.Create(
            (x, y) => x.Value != y.Value ? x.Value.CompareTo(y.Value) : y.Id.CompareTo(x.Id)));
        for (var id = 0; id < own.Length; id++)
        {
            if (own[id] < 0 || T.IsNegativeInfinity(row[own[id]]))
                continue;
            if (heap.Count < k)
                heap.Enqueue(own[id], (row[own[id]], id));
            else
                heap.EnqueueDequeue(own[id], (row[own[id]], id));
        }

        var best = new int[heap.Count];
        for (var i = best.Length - 1; i >= 0; i--)
            best[i] = heap.Dequeue();
        return best;
    }
}
