using System.Numerics;

namespace MergeKit.Core.Ensembles.Vocabularies;

/// <summary>The exact law of the next byte of a model over tokens: the sum over all sequences of tokens that spell the bytes so far, the last of which may
/// reach beyond them (Phan et al. 2024; Hayase et al. 2025).</summary>
/// <remarks>A cover is a sequence of whole tokens, with its probability and the law of the token after it; the bytes behind its last token
/// are the beginning of that next token. The number of covers is capped; what is dropped is accounted for.</remarks>
/// <typeparam name="T">The precision of the rows; sums are in double.</typeparam>
public sealed class ByteCovers<T>
    where T : unmanaged, IBinaryFloatingPointIeee754<T>
{
    private readonly TokenBytesIndex _index;
    private readonly Func<IReadOnlyList<int>, ReadOnlyMemory<T>> _next;
    private readonly int _most;
    private readonly int? _end;
    private List<Cover> _covers;

    /// <summary>The covers of an empty text.</summary>
    /// <param name="index">The vocabulary.</param>
    /// <param name="next">The law, as logits, of the token after a sequence of tokens. Rows must stay as they are.</param>
    /// <param name="most">The most covers to keep, at least 1.</param>
    /// <param name="end">The token that ends a text, if it is to have a probability; no other token without bytes has one.</param>
    public ByteCovers(TokenBytesIndex index, Func<IReadOnlyList<int>, ReadOnlyMemory<T>> next, int most, int? end = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(most, 1);
        (_index, _next, _most, _end) = (index, next, most, end);
        _covers = [Open([], 0)];
    }

    private ByteCovers(ByteCovers<T> other)
    {
        (_index, _next, _most, _end, _covers) = (other._index, other._next, other._most, other._end, other._covers);
        DroppedMass = other.DroppedMass;
    }

    /// <summary>Covers kept.</summary>
    public int Count => _covers.Count;

    /// <summary>The share of the probability of the bytes so far that was lost with dropped covers, an upper estimate.</summary>
    public double DroppedMass { get; private set; }

    /// <summary>The same state, to be gone on with by itself.</summary>
    public ByteCovers<T> Copy() => new(this);

    /// <summary>Writes ln P(byte) of the 256 bytes, and of the end of the text behind them where there is such a token.</summary>
    /// <exception cref="EnsembleException">Nothing can follow.</exception>
    public void NextLogProbs(Span<double> logProbs)
    {
        Span<double> sums = stackalloc double[257];
        sums.Clear();
        var reference = _covers.Max(cover => cover.LogProb);
        foreach (var cover in _covers)
        {
            var weight = Math.Exp(cover.LogProb - reference);
            for (var place = cover.Run.Start; place < cover.Run.End; place++)
                if (_index.Bytes(place) is var bytes && bytes.Length > cover.Depth)
                    sums[bytes[cover.Depth]] += weight * cover.Probability(_index.Id(place));
            if (_end is { } end && cover.Depth == 0)
                sums[256] += weight * cover.Probability(end);
        }

        var total = 0.0;
        foreach (var sum in sums)
            total += sum;
        if (!(total > 0))
            throw new EnsembleException(EnsembleError.EmptySupport, "no token continues the text");
        for (var i = 0; i < logProbs.Length; i++)
            logProbs[i] = Math.Log(sums[i] / total);
    }

    /// <summary>Goes on by one byte.</summary>
    /// <exception cref="EnsembleException">No token spells it.</exception>
    public void Append(byte value)
    {
        var live = new List<Cover>();
        foreach (var cover in _covers)
        {
            var run = _index.Narrow(cover.Run, cover.Depth, value);
            var place = run.Start;
            for (; place < run.End && _index.Bytes(place).Length == cover.Depth + 1; place++)
                live.Add(new Cover([.. cover.Tokens, _index.Id(place)], cover.LogProb + Math.Log(cover.Probability(_index.Id(place))), null, 0, _index.All, 0));
            if (place < run.End)
                live.Add(cover with { Run = (place, run.End), Depth = cover.Depth + 1, Mass = Mass(cover, (place, run.End)) });
        }

        live.RemoveAll(cover => !(cover.Weight > double.NegativeInfinity));
        if (live.Count == 0)
            throw new EnsembleException(EnsembleError.EmptySupport, $"no token of the vocabulary spells the byte {value} here");
        Keep(live);
    }

    /// <summary>The heaviest covers stay; only these are worth a pass of the model.</summary>
    private void Keep(List<Cover> live)
    {
        live.Sort((x, y) => y.Weight.CompareTo(x.Weight));
        if (live.Count > _most)
        {
            var reference = live[0].Weight;
            var kept = live.Take(_most).Sum(cover => Math.Exp(cover.Weight - reference));
            var dropped = live.Skip(_most).Sum(cover => Math.Exp(cover.Weight - reference));
            DroppedMass += (1 - DroppedMass) * dropped / (kept + dropped);
            live.RemoveRange(_most, live.Count - _most);
        }

        _covers = [.. live.Select(cover => cover.Row is null ? Open(cover.Tokens, cover.LogProb) : cover)];
    }

    private Cover Open(IReadOnlyList<int> tokens, double logProb)
    {
        var row = _next(tokens);
        return new Cover(tokens, logProb, row, RowMath.LogSumExp(row.Span), _index.All, 0);
    }

    private double Mass(Cover cover, (int Start, int End) run)
    {
        var sum = 0.0;
        for (var place = run.Start; place < run.End; place++)
            sum += cover.Probability(_index.Id(place));
        return sum;
    }

    /// <summary>Whole tokens, the law after them, and the run of tokens that begin with the bytes behind them.</summary>
    private sealed record Cover(
        IReadOnlyList<int> Tokens, double LogProb, ReadOnlyMemory<T>? Row, double Total, (int Start, int End) Run, int Depth)
    {
        /// <summary>The probability of the run, given the tokens.</summary>
        public double Mass { get; init; } = 1;

        /// <summary>ln of the probability of the bytes by this cover.</summary>
        public double Weight => LogProb + Math.Log(Mass);

        public double Probability(int id) => Math.Exp(double.CreateChecked(Row!.Value.Span[id]) - Total);
    }
}
