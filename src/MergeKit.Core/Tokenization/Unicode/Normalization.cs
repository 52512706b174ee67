using System.Text;

namespace MergeKit.Core.Tokenization.Unicode;

/// <summary>The four Unicode normalization forms (UAX 15) over the data of Unicode 9. Hangul is computed.</summary>
internal static class Normalization
{
    private const int HangulFirst = 0xAC00, LeadFirst = 0x1100, VowelFirst = 0x1161, TrailBefore = 0x11A7;
    private const int LeadCount = 19, VowelCount = 21, TrailCount = 28, HangulCount = LeadCount * VowelCount * TrailCount;
    private static readonly Lazy<Tables> Shared = new(() => new Tables(UnicodeData.Instance));

    /// <summary>NFD, or NFKD with <paramref name="compatibility"/>.</summary>
    public static string Decompose(string text, bool compatibility) =>
        Ascii.IsValid(text) ? text : ToText(Decomposed(text, compatibility));

    /// <summary>NFC, or NFKC with <paramref name="compatibility"/>.</summary>
    public static string Compose(string text, bool compatibility)
    {
        // Nothing below U+0300 changes in NFC, nor does anything in ASCII in NFKC.
        if (compatibility ? Ascii.IsValid(text) : text.AsSpan().IndexOfAnyExceptInRange('\0', '\u02FF') < 0)
            return text;
        var codes = Decomposed(text, compatibility);
        ComposeInPlace(codes);
        return ToText(codes);
    }

    private static List<int> Decomposed(string text, bool compatibility)
    {
        var tables = Shared.Value;
        var codes = new List<int>(text.Length + 16);
        foreach (var rune in text.EnumerateRunes())
        {
            if (rune.Value is >= HangulFirst and < HangulFirst + HangulCount)
                AddHangul(codes, rune.Value - HangulFirst);
            else if (rune.Value >= 0xA0 && tables.Full(compatibility).TryGetValue(rune.Value, out var mapping))
                codes.AddRange(mapping);
            else
                codes.Add(rune.Value);
        }

        Reorder(codes, tables);
        return codes;
    }

    private static void AddHangul(List<int> codes, int index)
    {
        codes.Add(LeadFirst + index / (VowelCount * TrailCount));
        codes.Add(VowelFirst + index % (VowelCount * TrailCount) / TrailCount);
        if (index % TrailCount != 0)
            codes.Add(TrailBefore + index % TrailCount);
    }

    /// <summary>Sorts every run of combining marks by class, stably.</summary>
    private static void Reorder(List<int> codes, Tables tables)
    {
        for (var i = 0; i < codes.Count; i++)
        {
            if (tables.Class(codes[i]) == 0)
                continue;
            var start = i;
            while (i < codes.Count && tables.Class(codes[i]) != 0)
                i++;
            if (i - start == 1)
                continue;
            var sorted = codes.GetRange(start, i - start).OrderBy(tables.Class).ToArray();
            for (var j = 0; j < sorted.Length; j++)
                codes[start + j] = sorted[j];
        }
    }

    private static void ComposeInPlace(List<int> codes)
    {
        var tables = Shared.Value;
        var (kept, starter, lastClass) = (0, -1, -1);
        for (var i = 0; i < codes.Count; i++)
        {
            var code = codes[i];
            var combining = tables.Class(code);
            // A mark composes with the last starter unless a mark of the same or a higher class stands between them.
            if (starter >= 0 && lastClass < combining && Pair(tables, codes[starter], code) is { } composed)
            {
                codes[starter] = composed;
                continue;
            }

            codes[kept] = code;
            if (combining == 0)
                (starter, lastClass) = (kept, -1);
            else
                lastClass = combining;
            kept++;
        }

        codes.RemoveRange(kept, codes.Count - kept);
    }

    private static int? Pair(Tables tables, int first, int second)
    {
        if (first is >= LeadFirst and < LeadFirst + LeadCount && second is >= VowelFirst and < VowelFirst + VowelCount)
            return HangulFirst + ((first - LeadFirst) * VowelCount + (second - VowelFirst)) * TrailCount;
        if (first is >= HangulFirst and < HangulFirst + HangulCount && (first - HangulFirst) % TrailCount == 0
            && second is > TrailBefore and < TrailBefore + TrailCount)
            return first + (second - TrailBefore);
        return tables.Compositions.TryGetValue((first, second), out var composed) ? composed : null;
    }

    private static string ToText(List<int> codes)
    {
        var text = new StringBuilder(codes.Count + 8);
        foreach (var code in codes)
            text.Append(code < 0x10000 ? ((char)code).ToString() : char.ConvertFromUtf32(code));
        return text.ToString();
    }

    /// <summary>Decompositions carried through to the end, and the pairs that compose.</summary>
    private sealed class Tables
    {
        private readonly Dictionary<int, int[]> _canonical = [];
        private readonly Dictionary<int, int[]> _compatibility = [];
        private readonly IReadOnlyDictionary<int, byte> _classes;

        public Tables(UnicodeData data)
        {
            _classes = data.CombiningClasses;
            foreach (var (code, mapping) in data.Canonical)
            {
                _canonical[code] = [.. mapping.SelectMany(part => Expand(data, part, false))];
                if (mapping.Length == 2 && !data.CompositionExclusions.Contains(code))
                    Compositions[(mapping[0], mapping[1])] = code;
            }

            foreach (var code in data.Canonical.Keys.Concat(data.Compatibility.Keys))
                _compatibility[code] = [.. Expand(data, code, true)];
        }

        public Dictionary<(int, int), int> Compositions { get; } = [];

        public Dictionary<int, int[]> Full(bool compatibility) => compatibility ? _compatibility : _canonical;

        public int Class(int code) => code < 0x300 ? 0 : _classes.TryGetValue(code, out var value) ? value : 0;

        private static IEnumerable<int> Expand(UnicodeData data, int code, bool compatibility) =>
            data.Canonical.TryGetValue(code, out var mapping) || (compatibility && data.Compatibility.TryGetValue(code, out mapping))
                ? mapping.SelectMany(part => Expand(data, part, compatibility))
                : [code];
    }
}
