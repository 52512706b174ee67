namespace MergeKit.Core.Merging.TaskVectors;

/// <summary>Magnitude bits of some entries of a task vector, and their order statistics by counting (two linear passes, any layout).</summary>
internal sealed class MagnitudeSample(int capacity)
{
    private const int LowBits = 16;
    private readonly uint[] _bits = new uint[capacity];
    private readonly int[] _high = new int[1 << (31 - LowBits)];
    private readonly int[] _low = new int[1 << LowBits];

    /// <summary>Number of entries.</summary>
    public int Count { get; private set; }

    /// <summary>Adds entries |value - origin|.</summary>
    public void Add(ReadOnlySpan<float> values, ReadOnlySpan<float> origin)
    {
        for (var i = 0; i < values.Length; i++)
        {
            var bits = MagnitudeCounting.BitsOf(values[i], origin[i]);
            _bits[Count++] = bits;
            _high[bits >> LowBits]++;
        }
    }

    /// <summary>The entry of the given rank in ascending order, from 0.</summary>
    public uint At(int rank)
    {
        var high = Walk(_high, ref rank);
        Array.Clear(_low);
        foreach (var bits in _bits.AsSpan(0, Count))
            if (bits >> LowBits == high)
                _low[bits & ((1 << LowBits) - 1)]++;
        return (high << LowBits) | Walk(_low, ref rank);
    }

    /// <summary>The bucket that holds a rank; the rank becomes the one within the bucket.</summary>
    private static uint Walk(int[] counts, ref int rank)
    {
        for (var bucket = 0u; ; rank -= counts[bucket++])
            if (rank < counts[bucket])
                return bucket;
    }
}
