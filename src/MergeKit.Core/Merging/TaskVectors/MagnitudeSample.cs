namespace MergeKit.Core.Merging.TaskVectors;

/// <summary>Magnitude bits of some entries of a task vector, and their order statistics by counting (11, 10 and 10 bits; any layout, small tables).</summary>
internal sealed class MagnitudeSample(int capacity)
{
    private const int DigitBits = 10, Digits = 1 << DigitBits;
    private readonly uint[] _bits = new uint[capacity];
    private readonly int[] _high = new int[2 * Digits];

    /// <summary>Number of entries.</summary>
    public int Count { get; private set; }

    /// <summary>Adds entries |value - origin|.</summary>
    public void Add(ReadOnlySpan<float> values, ReadOnlySpan<float> origin)
    {
        for (var i = 0; i < values.Length; i++)
        {
            var bits = MagnitudeCounting.BitsOf(values[i], origin[i]);
            _bits[Count++] = bits;
            _high[bits >> (2 * DigitBits)]++;
        }
    }

    /// <summary>The entry of the given rank in ascending order, from 0.</summary>
    public uint At(int rank)
    {
        var found = Walk(_high, ref rank);
        Span<int> counts = stackalloc int[Digits];
        for (var shift = DigitBits; shift >= 0; shift -= DigitBits)
        {
            counts.Clear();
            foreach (var bits in _bits.AsSpan(0, Count))
                if (bits >> (shift + DigitBits) == found)
                    counts[(int)(bits >> shift) & (Digits - 1)]++;
            found = (found << DigitBits) | Walk(counts, ref rank);
        }

        return found;
    }

    /// <summary>The bucket that holds a rank; the rank becomes the one within the bucket.</summary>
    private static uint Walk(ReadOnlySpan<int> counts, ref int rank)
    {
        for (var bucket = 0; ; rank -= counts[bucket++])
            if (rank < counts[bucket])
                return (uint)bucket;
    }
}
