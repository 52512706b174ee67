using System.Globalization;
using System.Text;

namespace MergeKit.Core.Tokenization.Patterns;

/// <summary>Walks over the text of a regular expression.</summary>
internal sealed class PatternScanner(string text)
{
    private const int MaxRepeat = 1000;
    private int _at;

    /// <summary>Whether nothing is left.</summary>
    public bool AtEnd => _at >= text.Length;

    /// <summary>The unit ahead, or NUL at the end.</summary>
    public char Peek(int ahead = 0) => _at + ahead < text.Length ? text[_at + ahead] : '\0';

    /// <summary>Takes the next code point.</summary>
    public Rune Next()
    {
        if (AtEnd)
            throw Fail("an end that comes too early");
        var rune = WellFormed.RuneAt(text, _at);
        _at += rune.Utf16SequenceLength;
        return rune;
    }

    /// <summary>Takes a unit if it is next.</summary>
    public bool Take(char unit)
    {
        if (AtEnd || text[_at] != unit)
            return false;
        _at++;
        return true;
    }

    /// <summary>Takes a text if it is next.</summary>
    public bool Take(string expected)
    {
        if (string.CompareOrdinal(text, _at, expected, 0, expected.Length) != 0)
            return false;
        _at += expected.Length;
        return true;
    }

    /// <summary>Takes decimal digits as a number.</summary>
    public int Digits()
    {
        var start = _at;
        while (char.IsAsciiDigit(Peek()))
            _at++;
        return int.TryParse(text.AsSpan(start, _at - start), NumberStyles.None, CultureInfo.InvariantCulture, out var value)
            ? value
            : throw Fail("a number that cannot be read");
    }

    /// <summary>Takes up to so many hexadecimal digits as a code point.</summary>
    public Rune Hex(int most)
    {
        var start = _at;
        while (_at - start < most && char.IsAsciiHexDigit(Peek()))
            _at++;
        return int.TryParse(text.AsSpan(start, _at - start), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out var value)
            && Rune.IsValid(value) ? new Rune(value) : throw Fail("a hexadecimal code point that cannot be read");
    }

    /// <summary>Takes what stands between two units.</summary>
    public string Enclosed(char open, char close)
    {
        var end = Take(open) ? text.IndexOf(close, _at) : -1;
        if (end < 0)
            throw Fail($"a name that is not within '{open}' and '{close}'");
        var inside = text[_at..end];
        _at = end + 1;
        return inside;
    }

    /// <summary>Takes <c>{n}</c>, <c>{n,}</c>, <c>{,m}</c> or <c>{n,m}</c>; anything else behind a brace is literal text.</summary>
    public (int Min, int Max)? TakeInterval()
    {
        var start = _at;
        if (Take('{'))
        {
            var low = char.IsAsciiDigit(Peek()) ? Digits() : -1;
            var high = low;
            if (Take(','))
                high = char.IsAsciiDigit(Peek()) ? Digits() : -1;
            else if (low < 0)
                high = -2;
            if (Take('}') && high != -2 && (low >= 0 || high >= 0))
            {
                if (Math.Max(low, high) > MaxRepeat || (high >= 0 && low > high))
                    throw Fail($"a repetition outside 0 to {MaxRepeat}, or with its limits exchanged");
                return (Math.Max(low, 0), high);
            }
        }

        _at = start;
        return null;
    }

    /// <summary>The error that something is wrong here.</summary>
    public FormatException Fail(string what) => new($"{what}, at character {_at} of '{(text.Length > 200 ? text[..200] + "..." : text)}'");
}
