namespace MergeKit.Core.Ensembles.Vocabularies;

/// <summary>A vocabulary's tokens as bytes, sorted, so that all tokens with a prefix lie side by side.</summary>
public sealed class TokenBytesIndex
{
    private readonly byte[][] _sorted;
    private readonly int[] _ids;

    /// <summary>An index.</summary>
    /// <param name="tokens">The bytes of each token by id; null or empty for a token without text, such as a special one.</param>
    public TokenBytesIndex(IReadOnlyList<byte[]?> tokens)
    {
        _ids = [.. Enumerable.Range(0, tokens.Count).Where(id => tokens[id] is { Length: > 0 })
            .Order(Comparer<int>.Create((x, y) => tokens[x].AsSpan().SequenceCompareTo(tokens[y]) is var order && order != 0 ? order : x.CompareTo(y)))];
        _sorted = [.. _ids.Select(id => tokens[id]!)];
    }

    /// <summary>All tokens.</summary>
    public (int Start, int End) All => (0, _ids.Length);

    /// <summary>The id at a place of the order.</summary>
    public int Id(int place) => _ids[place];

    /// <summary>The bytes at a place of the order.</summary>
    public ReadOnlySpan<byte> Bytes(int place) => _sorted[place];

    /// <summary>Of a run of tokens that agree in their first <paramref name="depth"/> bytes, those whose next byte is <paramref name="value"/>.
    /// Tokens that end there stand at the run's beginning and are left out.</summary>
    public (int Start, int End) Narrow((int Start, int End) run, int depth, byte value) =>
        (LowerBound(run, depth, value), LowerBound(run, depth, value + 1));

    private int LowerBound((int Start, int End) run, int depth, int value)
    {
        var (low, high) = run;
        while (low < high)
        {
            var middle = (low + high) >>> 1;
            var next = _sorted[middle].Length > depth ? _sorted[middle][depth] : -1;
            (low, high) = next < value ? (middle + 1, high) : (low, middle);
        }

        return low;
    }
}
