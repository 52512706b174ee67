using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;

namespace MergeKit.Core.Tokenization.Patterns;

/// <summary>The four kinds of code points that the known splits tell apart.</summary>
internal enum SplitKind : byte
{
    /// <summary>Neither of the others.</summary>
    Other,

    /// <summary><c>\p{L}</c></summary>
    Letter,

    /// <summary><c>\p{N}</c></summary>
    Number,

    /// <summary><c>\s</c> (none lies beyond U+FFFF)</summary>
    Space,
}

/// <summary>Scanning for the hand-written splitters: a table for ASCII, Unicode categories for the rest.</summary>
internal static class SplitScan
{
    private static ReadOnlySpan<byte> AsciiKinds =>
    [
        0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 3, 3, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 0, 0, 0, 0, 0, 0,
        0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0,
        0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0,
    ];

    /// <summary>The kind of the code point at an index, and its length in units.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static SplitKind KindAt(ReadOnlySpan<char> text, int index, out int length)
    {
        var unit = text[index];
        if (unit < 128)
        {
            length = 1;
            return (SplitKind)AsciiKinds[unit];
        }

        return WideKindAt(text, index, out length);
    }

    /// <summary>The end of the run of code points of a kind that begins at an index; at most <paramref name="most"/> of them.</summary>
    public static int RunEnd(ReadOnlySpan<char> text, int index, SplitKind kind, int most = int.MaxValue)
    {
        for (; most > 0 && index < text.Length && KindAt(text, index, out var length) == kind; most--)
            index += length;
        return index;
    }

    /// <summary>The end of a run of white space that leaves its last code point to what follows, as <c>\s+(?!\S)|\s+</c>
    /// does: the whole run at the end of the text or where it has one code point.</summary>
    public static int SpaceEnd(int start, int runEnd, int textLength) =>
        runEnd == textLength || runEnd - start == 1 ? runEnd : runEnd - 1;

    private static SplitKind WideKindAt(ReadOnlySpan<char> text, int index, out int length)
    {
        var rune = WellFormed.RuneAt(text, index);
        length = rune.Utf16SequenceLength;
        switch (Rune.GetUnicodeCategory(rune))
        {
            case UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter or UnicodeCategory.TitlecaseLetter
                or UnicodeCategory.ModifierLetter or UnicodeCategory.OtherLetter:
                return SplitKind.Letter;
            case UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber:
                return SplitKind.Number;
            default:
                return Rune.IsWhiteSpace(rune) ? SplitKind.Space : SplitKind.Other;
        }
    }
}
