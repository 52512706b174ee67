using System.Globalization;

namespace MergeKit.Core.Tokenization.Unicode;

/// <summary>A set of code points as sorted ranges that do not touch.</summary>
internal sealed class CodePointRanges
{
    private readonly int[] _first;
    private readonly int[] _last;

    /// <summary>The set of all code points in the ranges given, in any order.</summary>
    public CodePointRanges(IEnumerable<(int First, int Last)> ranges)
    {
        var merged = new List<(int First, int Last)>();
        foreach (var range in ranges.OrderBy(r => r.First))
        {
            if (merged.Count > 0 && range.First <= merged[^1].Last + 1)
                merged[^1] = (merged[^1].First, Math.Max(merged[^1].Last, range.Last));
            else
                merged.Add(range);
        }

        _first = [.. merged.Select(r => r.First)];
        _last = [.. merged.Select(r => r.Last)];
    }

    /// <summary>The ranges, rising.</summary>
    public IEnumerable<(int First, int Last)> Ranges => _first.Zip(_last);

    /// <summary>Whether the set holds a code point; a binary search.</summary>
    public bool Contains(int code)
    {
        var index = Array.BinarySearch(_first, code);
        if (index >= 0)
            return true;
        index = ~index - 1;
        return index >= 0 && code <= _last[index];
    }

    /// <summary>Every code point, rising.</summary>
    public IEnumerable<int> All() => Ranges.SelectMany(r => Enumerable.Range(r.First, r.Last - r.First + 1));

    /// <summary>Everything in either set.</summary>
    public static CodePointRanges Union(CodePointRanges a, CodePointRanges b) => new(a.Ranges.Concat(b.Ranges));

    /// <summary>Reads items such as <c>41-5A</c> or <c>AA</c>.</summary>
    public static CodePointRanges Parse(IEnumerable<string> items) => new(items.Select(item =>
    {
        var dash = item.IndexOf('-', StringComparison.Ordinal);
        return dash < 0 ? (Hex(item), Hex(item)) : (Hex(item.AsSpan(0, dash)), Hex(item.AsSpan(dash + 1)));
    }));

    private static int Hex(ReadOnlySpan<char> text) => int.Parse(text, NumberStyles.HexNumber, CultureInfo.InvariantCulture);
}
