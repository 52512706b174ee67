using System.Runtime.InteropServices;

namespace MergeKit.Core.Merging.TaskVectors;

/// <summary>The search for one cut: an interval of magnitude bits that holds the k-th largest, narrowed until it is one value.</summary>
internal sealed class CutSearch(int source, long keep, long count)
{
    private const int Buckets = 1 << 20;
    private const uint Everything = 0x80000000;
    private uint[]? _histogram;
    private int[] _ties = [];
    private int _shift;
    private int _tieBlock;
    private long _above;
    private uint _end = Everything;

    /// <summary>Which source's task vector.</summary>
    public int Source => source;

    /// <summary>The least magnitude (bits) that the cut can have.</summary>
    public uint Lowest { get; private set; }

    /// <summary>Whether the interval is a single magnitude.</summary>
    public bool Done { get; private set; }

    /// <summary>Index of the last kept entry of exactly the cut's magnitude.</summary>
    public long LastTie { get; set; } = long.MaxValue;

    /// <summary>Whether some entries of exactly the cut's magnitude must go. Zeros may all stay: they add nothing.</summary>
    public bool TiesMatter => Lowest > 0 && _above + TiesFound > keep;

    private long TiesFound { get; set; }

    /// <summary>Guesses the interval from sampled magnitudes: the sample's quantile, so many standard deviations of it to both sides.</summary>
    public void Narrow(List<float> magnitudes, int deviations)
    {
        magnitudes.Sort();
        var rank = (1 - (double)keep / count) * magnitudes.Count;
        var spread = deviations * Math.Sqrt(magnitudes.Count * 0.25);
        Lowest = rank - spread < 1 ? 0 : BitConverter.SingleToUInt32Bits(magnitudes[(int)(rank - spread)]);
        _end = rank + spread >= magnitudes.Count - 1 ? Everything : BitConverter.SingleToUInt32Bits(magnitudes[(int)(rank + spread)]) + 1;
    }

    /// <summary>Starts a counting pass over the interval.</summary>
    public void Begin()
    {
        var width = _end - Lowest;
        for (_shift = 0; (width - 1) >> _shift >= Buckets; _shift++) { }
        _histogram = new uint[((width - 1) >> _shift) + 1];
        _above = 0;
    }

    /// <summary>Counts one chunk. Called from many threads.</summary>
    public void Count(ReadOnlySpan<float> delta)
    {
        var above = MagnitudeCounting.CountAndBucket(MemoryMarshal.Cast<float, uint>(delta), Lowest, _end, _shift, _histogram!);
        Interlocked.Add(ref _above, above);
    }

    /// <summary>Ends a pass: the interval becomes the bucket with the cut, or moves when the guess had missed it.</summary>
    public void End()
    {
        var histogram = _histogram!;
        _histogram = null;
        if (_above >= keep)
        {
            (Lowest, _end) = (_end, Everything);
            return;
        }

        for (var bucket = histogram.Length - 1; bucket >= 0; bucket--)
        {
            if (_above + histogram[bucket] >= keep)
            {
                var low = Lowest + ((uint)bucket << _shift);
                _end = Math.Min(_end, low + (1u << _shift));
                (Lowest, Done, TiesFound) = (low, _shift == 0, histogram[bucket]);
                return;
            }

            _above += histogram[bucket];
        }

        (Lowest, _end) = (0, Lowest);
    }

    /// <summary>Starts the pass that locates the last tie to keep.</summary>
    public void BeginTies(int block)
    {
        _tieBlock = block;
        _ties = new int[checked((int)((count + block - 1) / block))];
    }

    /// <summary>Counts ties per block. Called from many threads.</summary>
    public void CountTies(ReadOnlySpan<float> delta, long start)
    {
        for (var offset = 0; offset < delta.Length; offset += _tieBlock)
        {
            var part = delta.Slice(offset, Math.Min(_tieBlock, delta.Length - offset));
            _ties[(start + offset) / _tieBlock] = MagnitudeCounting.CountEqual(MemoryMarshal.Cast<float, uint>(part), Lowest);
        }
    }

    /// <summary>The block that holds the last tie to keep, and its rank among the block's ties, from 1.</summary>
    public (int Block, int Rank) TieBlock()
    {
        var remaining = keep - _above;
        for (var block = 0; ; block++)
        {
            if (remaining <= _ties[block])
                return (block, (int)remaining);
            remaining -= _ties[block];
        }
    }

    /// <summary>Position of the tie of the given rank, from 1.</summary>
    public int IndexOfTie(ReadOnlySpan<float> delta, int rank)
    {
        for (var i = 0; ; i++)
            if ((BitConverter.SingleToUInt32Bits(delta[i]) & 0x7FFFFFFFu) == Lowest && --rank == 0)
                return i;
    }
}
