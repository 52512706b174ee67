using System.Text;

namespace MergeKit.Core.Tokenization;

/// <summary>Strings as sequences of Unicode scalar values: unpaired surrogates become U+FFFD.</summary>
internal static class WellFormed
{
    /// <summary>The text itself where it is well-formed UTF-16, else a copy with U+FFFD for every unpaired surrogate.</summary>
    public static string Repair(string text)
    {
        var first = FirstUnpaired(text);
        if (first < 0)
            return text;
        var units = text.ToCharArray();
        for (var i = first; i < units.Length; i++)
        {
            if (!char.IsSurrogate(units[i]))
                continue;
            if (char.IsHighSurrogate(units[i]) && i + 1 < units.Length && char.IsLowSurrogate(units[i + 1]))
                i++;
            else
                units[i] = '\uFFFD';
        }

        return new string(units);
    }

    /// <summary>The code point at an index of a well-formed text.</summary>
    public static Rune RuneAt(ReadOnlySpan<char> text, int index)
    {
        var unit = text[index];
        return char.IsSurrogate(unit) ? new Rune(unit, text[index + 1]) : new Rune(unit);
    }

    /// <summary>The code point that ends before an index above zero of a well-formed text.</summary>
    public static Rune RuneBefore(ReadOnlySpan<char> text, int index)
    {
        var unit = text[index - 1];
        return char.IsLowSurrogate(unit) ? new Rune(text[index - 2], unit) : new Rune(unit);
    }

    private static int FirstUnpaired(ReadOnlySpan<char> text)
    {
        var i = 0;
        while (i < text.Length)
        {
            var next = text[i..].IndexOfAnyInRange('\uD800', '\uDFFF');
            if (next < 0)
                return -1;
            i += next;
            if (!char.IsHighSurrogate(text[i]) || i + 1 == text.Length || !char.IsLowSurrogate(text[i + 1]))
                return i;
            i += 2;
        }

        return -1;
    }
}
