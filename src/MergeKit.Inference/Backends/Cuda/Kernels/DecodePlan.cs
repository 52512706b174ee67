namespace MergeKit.Inference.Backends.Cuda.Kernels;

/// <summary>A piece of a sequence's keys, as the kernel reads it.</summary>
/// <param name="Sequence">Its sequence.</param>
/// <param name="First">Its first key.</param>
/// <param name="End">The key behind its last; 0 where the entry is not used.</param>
/// <param name="IndexAndCount">Its index among the sequence's pieces, and their number times 65536.</param>
internal readonly record struct DecodePiece(int Sequence, int First, int End, int IndexAndCount)
{
    /// <summary>Keys of the piece.</summary>
    public int Length => End - First;
}

/// <summary>How the keys of a batch are cut into pieces for <see cref="AttentionDecode"/>: made on the host once per step, the same for all layers of a form.</summary>
/// <param name="Pieces">The longest first.</param>
/// <param name="Places">Where the partial results of each sequence begin.</param>
internal sealed record DecodePlan(DecodePiece[] Pieces, int[] Places)
{
    private const int Page = 64, MostKeys = 512 * Page, LongPiece = 6144;

    /// <summary>A plan.</summary>
    /// <param name="keys">Keys of each sequence, that of the new token included; 0 for a sequence that takes no part.</param>
    /// <param name="window">A query sees this many keys; 0 for all.</param>
    /// <param name="blocks">Blocks that each piece becomes: kv heads, times blocks of query heads.</param>
    /// <param name="slots">Blocks that the device runs at once.</param>
    /// <remarks>Pieces of equal length in a single wave where that leaves none longer than 6144 keys. Else pieces of 0.7 of a
    /// block's share of the keys for the first part of the work and a quarter of that for the rest, so that blocks end together.</remarks>
    public static DecodePlan Make(ReadOnlySpan<int> keys, int window, int blocks, int slots)
    {
        long total = 0;
        foreach (var length in keys)
            total += Math.Min(length, window > 0 ? window : length);
        if (OneWave(keys, window, blocks, slots, total) is { } chunk)
            return Cut(keys, window, _ => chunk);
        var large = Round((long)(0.7 * total * blocks / slots));
        var small = Round(large / 4);
        long done = 0;
        return Cut(keys, window, length =>
        {
            var piece = done < 0.7 * total ? large : small;
            done += length;
            return piece;
        });
    }

    /// <summary>The most pieces that batches of up to <paramref name="sequences"/> sequences of up to <paramref name="longest"/> keys can have, for buffers of fixed size.</summary>
    public static int Capacity(int sequences, int longest, int blocks, int slots) =>
        2 * sequences + Ceiling(4L * slots, blocks) + Ceiling((long)sequences * longest, MostKeys - Page);

    /// <summary>The length of pieces with which one wave does all; null where it would be longer than that.</summary>
    private static int? OneWave(ReadOnlySpan<int> keys, int window, int blocks, int slots, long total)
    {
        for (var chunk = Round(total * blocks / slots); chunk <= LongPiece; chunk += Page)
        {
            long count = 0;
            foreach (var length in keys)
                count += Ceiling(Seen(length, window), chunk);
            if (count * blocks <= slots)
                return chunk;
        }

        return null;
    }

    private static DecodePlan Cut(ReadOnlySpan<int> keys, int window, Func<int, int> pieceOf)
    {
        var order = Enumerable.Range(0, keys.Length).ToArray();
        var lengths = keys.ToArray();
        Array.Sort(order, (a, b) => lengths[a] != lengths[b] ? lengths[b].CompareTo(lengths[a]) : a.CompareTo(b));
        var (pieces, places, next) = (new List<DecodePiece>(), new int[keys.Length], 0);
        foreach (var sequence in order)
        {
            var end = lengths[sequence];
            if (end <= 0)
                continue;
            var first = window > 0 ? Math.Max(0, end - window) : 0;
            var count = Ceiling(end - first, Math.Min(pieceOf(end - first), MostKeys - Page));
            var step = Round(Ceiling(end - first, count));
            count = 0;
            var starts = new List<int>();
            for (var start = first; start < end; start = start / Page * Page + step)
                starts.Add(start);
            places[sequence] = next;
            for (; count < starts.Count; count++)
                pieces.Add(new DecodePiece(sequence, starts[count], count + 1 < starts.Count ? starts[count + 1] : end, count | starts.Count << 16));
            next += starts.Count;
        }

        return new DecodePlan([.. pieces.OrderByDescending(piece => piece.Length)], places);
    }

    private static int Seen(int length, int window) => window > 0 ? Math.Min(length, window) : length;

    private static int Round(long keys) => (int)Math.Clamp(Ceiling(keys, Page) * Page, 2 * Page, MostKeys - Page);

    private static int Ceiling(long a, long b) => (int)((a + b - 1) / b);
}
