using System.Buffers;
using System.Text;

namespace MergeKit.Core.Templating.Runtime;

/// <summary>Upper, lower and title case as Python maps them: one letter may become several (\u00DF to SS), and a sigma at the end of a word is a final one.</summary>
internal static class LetterCase
{
    private const string Expanding = "\u00DF\u0149\u01F0\uFB00\uFB01\uFB02\uFB03\uFB04\uFB05\uFB06";
    private static readonly SearchValues<char> AnyExpanding = SearchValues.Create(Expanding);
    private static readonly string[] Expanded = ["SS", "\u02BCN", "J\u030C", "FF", "FI", "FL", "FFI", "FFL", "ST", "ST"];

    /// <summary><c>str.upper</c>.</summary>
    public static string Upper(string text)
    {
        if (text.AsSpan().IndexOfAny(AnyExpanding) < 0)
            return text.ToUpperInvariant();
        var result = new StringBuilder(text.Length + 8);
        foreach (var character in PythonString.Characters(text))
            result.Append(Expanding.IndexOf(character, StringComparison.Ordinal) is >= 0 and var at ? Expanded[at] : character.ToUpperInvariant());
        return result.ToString();
    }

    /// <summary><c>str.lower</c>.</summary>
    public static string Lower(string text)
    {
        var lower = text.Replace("\u0130", "i\u0307", StringComparison.Ordinal).ToLowerInvariant();
        if (!text.Contains('\u03A3'))
            return lower;
        var result = new StringBuilder(lower);
        for (int i = 0, shift = 0; i < text.Length; i++)
        {
            if (IsFinalSigma(text, i))
                result[i + shift] = '\u03C2';
            shift += text[i] == '\u0130' ? 1 : 0;
        }

        return result.ToString();
    }

    /// <summary><c>str.casefold</c>.</summary>
    public static string Fold(string text) => Lower(Upper(text)).Replace('\u03C2', '\u03C3');

    /// <summary>The lower case of one character of a text.</summary>
    public static string LowerAt(string text, int at, string character) => IsFinalSigma(text, at) ? "\u03C2" : Lower(character);

    /// <summary>The first letter of a word in title case: digraphs have a form of their own, and what expands keeps only its first letter large.</summary>
    public static string Title(string character)
    {
        if (character.Length == 1 && character[0] is >= '\u01C4' and <= '\u01CC')
            return ((char)(0x01C5 + ((character[0] - 0x01C4) / 3 * 3))).ToString();
        if (character.Length == 1 && character[0] is >= '\u01F1' and <= '\u01F3')
            return "\u01F2";
        var upper = Upper(character);
        return upper.Length > 1 && !char.IsSurrogate(upper[0]) ? upper[..1] + upper[1..].ToLowerInvariant() : upper;
    }

    private static bool IsFinalSigma(string text, int at) =>
        text[at] == '\u03A3' && at > 0 && char.IsLetter(text[at - 1]) && (at + 1 == text.Length || !char.IsLetter(text[at + 1]));
}
