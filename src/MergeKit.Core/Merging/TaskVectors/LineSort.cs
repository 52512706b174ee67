namespace MergeKit.Core.Merging.TaskVectors;

/// <summary>Stable ascending sort of keys whose upper 32 bits are a magnitude (bits of a float32 without sign) and whose lower 32 bits the
/// position: counting passes over 11 bits each, or a comparison sort where a line is short.</summary>
internal static class LineSort
{
    private const int Digit = 11, Buckets = 1 << Digit, Short = 512;

    /// <summary>Sorts; the result is in one of the two spans.</summary>
    /// <param name="keys">The keys, positions ascending; overwritten.</param>
    /// <param name="spare">As long as the keys.</param>
    public static ReadOnlySpan<ulong> Sort(Span<ulong> keys, Span<ulong> spare)
    {
        if (keys.Length <= Short)
        {
            keys.Sort(); // the position in the lower half makes it stable
            return keys;
        }

        Span<int> counts = stackalloc int[Buckets];
        for (var shift = 32; shift < 64; shift += Digit)
        {
            counts.Clear();
            foreach (var key in keys)
                counts[(int)(key >> shift) & (Buckets - 1)]++;
            for (int bucket = 0, first = 0; bucket < Buckets; bucket++)
                (counts[bucket], first) = (first, first + counts[bucket]);
            foreach (var key in keys)
                spare[counts[(int)(key >> shift) & (Buckets - 1)]++] = key;
            var sorted = spare;
            spare = keys;
            keys = sorted;
        }

        return keys;
    }
}
