using System.Numerics.Tensors;

namespace MergeKit.Core.Merging.TaskVectors;

/// <summary>The search for one cut: an interval of magnitude bits that holds the k-th largest, narrowed until it is one value. One likely
/// value is counted apart and per block, so that where ties end is usually known without a further pass.</summary>
internal sealed class CutSearch(CutTarget target, long count, int block)
{
    private const int Buckets = 1 << 20, Stride = 1 << 10;
    private const uint Everything = 0x80000000;
    private readonly long _keep = target.Rank;
    private readonly int[] _ties = new int[checked((int)((count + block - 1) / block))];
    private long[] _histogram = [];
    private int _shift;
    private long _above;
    private long _equal;
    private long _tiesFound;
    private uint _end = Everything;
    private uint _single;

    /// <summary>What is searched.</summary>
    public CutTarget Target => target;

    /// <summary>The least magnitude (bits) that the cut can have.</summary>
    public uint Lowest { get; private set; }

    /// <summary>Whether the interval is a single magnitude, and where its ties end is known if it matters.</summary>
    public bool Done => IsSingle && (!TiesMatter || _single == Lowest);

    /// <summary>How many of the entries of exactly the cut's magnitude, from the lowest index on, are on the first side.</summary>
    public long FirstTies => target.Side switch
    {
        CutSide.KeepLargest => _keep - _above,
        CutSide.DropSmallest => _above + _tiesFound - _keep,
        CutSide.DropLargest => _above + _tiesFound - _keep + 1,
        _ => _tiesFound,
    };

    /// <summary>Whether the cut runs through entries of one magnitude. Zeros may all stay: they add nothing.</summary>
    public bool TiesMatter => Lowest > 0 && FirstTies > 0 && FirstTies < _tiesFound;

    private bool IsSingle { get; set; }

    /// <summary>Guesses the interval from sampled magnitudes: the sample's quantile, so many standard deviations of it to both sides
    /// (none where the sample is the whole). A wrong guess costs a pass, never the result.</summary>
    public void Narrow(MagnitudeSample sample, int deviations)
    {
        var rank = sample.Count - Math.Max(1, (int)((Int128)_keep * sample.Count / count));
        var spread = sample.Count == count ? 0 : (int)(deviations * Math.Sqrt(sample.Count * 0.25));
        _single = sample.At(rank);
        if (spread == 0)
        {
            (Lowest, _end) = (_single, _single + 1);
            return;
        }

        Lowest = rank - spread < 0 ? 0 : sample.At(rank - spread);
        _end = rank + spread >= sample.Count ? Everything : sample.At(rank + spread) + 1;
    }

    /// <summary>Starts a counting pass over the interval.</summary>
    public void Begin()
    {
        var width = _end - Lowest;
        for (_shift = 0; (width - 1) >> _shift >= Buckets; _shift++) { }
        _histogram = new long[((width - 1) >> _shift) + 1];
        (_above, _equal) = (0, 0);
        if (_single < Lowest || _single >= _end)
            _single = Lowest;
    }

    /// <summary>Counts one chunk. Called from many threads.</summary>
    public void Count(ReadOnlySpan<float> values, ReadOnlySpan<float> origin, long start)
    {
        var (allAbove, allEqual) = (0L, 0L);
        for (var offset = 0; offset < values.Length; offset += block)
        {
            var length = Math.Min(block, values.Length - offset);
            var (above, equal) = MagnitudeCounting.Count(values.Slice(offset, length), origin.Slice(offset, length), Lowest, _end, _single, _shift, _histogram);
            _ties[(start + offset) / block] = equal;
            (allAbove, allEqual) = (allAbove + above, allEqual + equal);
        }

        Interlocked.Add(ref _above, allAbove);
        Interlocked.Add(ref _equal, allEqual);
    }

    /// <summary>Ends a pass: the interval becomes the bucket with the cut, or moves when the guess had missed it.</summary>
    public void End()
    {
        var histogram = _histogram;
        _histogram = [];
        if (_above >= _keep)
        {
            (Lowest, _end) = (_end, Everything);
            return;
        }

        histogram[(_single - Lowest) >> _shift] += _equal;
        for (var bucket = SkipFromTop(histogram) - 1; bucket >= 0; bucket--)
        {
            if (_above + histogram[bucket] >= _keep)
            {
                var low = Lowest + ((uint)bucket << _shift);
                _end = Math.Min(_end, low + (1u << _shift));
                (Lowest, IsSingle, _tiesFound) = (low, _end - low == 1, histogram[bucket]);
                return;
            }

            _above += histogram[bucket];
        }

        (Lowest, _end) = (0, Lowest);
    }

    /// <summary>The block that holds the last tie of the first side, and its rank among the block's ties, from 1.</summary>
    public (int Block, int Rank) TieBlock()
    {
        var remaining = FirstTies;
        for (var at = 0; ; at++)
        {
            if (remaining <= _ties[at])
                return (at, (int)remaining);
            remaining -= _ties[at];
        }
    }

    /// <summary>Position of the tie of the given rank, from 1.</summary>
    public int IndexOfTie(ReadOnlySpan<float> values, ReadOnlySpan<float> origin, int rank)
    {
        for (var i = 0; ; i++)
            if (MagnitudeCounting.BitsOf(values[i], origin[i]) == Lowest && --rank == 0)
                return i;
    }

    /// <summary>Passes over whole strides of buckets that lie above the cut; returns where the rest ends.</summary>
    private int SkipFromTop(long[] histogram)
    {
        var end = histogram.Length;
        for (; end >= Stride; end -= Stride)
        {
            var sum = TensorPrimitives.Sum<long>(histogram.AsSpan(end - Stride, Stride));
            if (_above + sum >= _keep)
                break;
            _above += sum;
        }

        return end;
    }
}
