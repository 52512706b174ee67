namespace MergeKit.Core.Tokenization.Models;

/// <summary>Applies merges to a row of tokens: always the one of lowest rank, the leftmost of equals, until none applies.</summary>
internal static class BytePairMerger
{
    private const int ShortRow = 48;

    /// <summary>Merges in place; returns how many tokens are left. Short rows are scanned, long ones use a heap.</summary>
    public static int Merge(Span<int> row, MergeTable merges) =>
        row.Length <= ShortRow ? MergeByScan(row, merges) : MergeByHeap(row, merges);

    /// <summary>Time of order n squared.</summary>
    public static int MergeByScan(Span<int> row, MergeTable merges)
    {
        var count = row.Length;
        if (count < 2)
            return count;
        var found = count <= ShortRow ? stackalloc (int Rank, int Id)[ShortRow] : new (int Rank, int Id)[count];
        for (var i = 0; i + 1 < count; i++)
            found[i] = merges.Find(row[i], row[i + 1]);
        while (count > 1)
        {
            var best = 0;
            for (var i = 1; i + 1 < count; i++)
                if (found[i].Rank < found[best].Rank)
                    best = i;
            if (found[best].Rank == MergeTable.NoRank)
                break;
            row[best] = found[best].Id;
            row[(best + 2)..count].CopyTo(row[(best + 1)..]);
            count--;
            if (best + 1 < count)
            {
                found[(best + 2)..count].CopyTo(found[(best + 1)..]);
                found[best] = merges.Find(row[best], row[best + 1]);
            }

            if (best > 0)
                found[best - 1] = merges.Find(row[best - 1], row[best]);
        }

        return count;
    }

    /// <summary>Time of order n log n.</summary>
    public static int MergeByHeap(Span<int> row, MergeTable merges)
    {
        var (next, previous) = (new int[row.Length], new int[row.Length]);
        var queue = new PriorityQueue<(int At, int Id), long>(row.Length);
        for (var i = 0; i < row.Length; i++)
            (next[i], previous[i]) = (i + 1, i - 1);
        for (var i = 0; i + 1 < row.Length; i++)
            Enqueue(queue, row, i, i + 1, merges);
        while (queue.TryDequeue(out var entry, out _))
        {
            var (left, right) = (entry.At, next[entry.At]);
            // An entry is stale where its left token is gone (-1) or its pair has become another.
            if (row[left] < 0 || right >= row.Length || merges.Find(row[left], row[right]).Id != entry.Id)
                continue;
            (row[left], row[right]) = (entry.Id, -1);
            next[left] = next[right];
            if (next[right] < row.Length)
            {
                previous[next[right]] = left;
                Enqueue(queue, row, left, next[left], merges);
            }

            if (previous[left] >= 0)
                Enqueue(queue, row, previous[left], left, merges);
        }

        var count = 0;
        foreach (var id in row)
            if (id >= 0)
                row[count++] = id;
        return count;
    }

    private static void Enqueue(PriorityQueue<(int At, int Id), long> queue, Span<int> row, int left, int right, MergeTable merges)
    {
        var (rank, id) = merges.Find(row[left], row[right]);
        if (rank != MergeTable.NoRank)
            queue.Enqueue((left, id), (long)rank << 32 | (uint)left);
    }
}
