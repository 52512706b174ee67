using System.Text;

namespace MergeKit.Core.Tokenization;

/// <summary>A stretch of text on its way through the normalizers.</summary>
/// <param name="Text">Well-formed UTF-16.</param>
/// <param name="Origin">How many leading units stem from the very first character of the whole input. Metaspace with
/// <c>prepend_scheme: first</c> asks for it; nothing else of the library's alignment is kept, as no offsets are returned.</param>
internal readonly record struct NormalizedText(string Text, int Origin)
{
    /// <summary>A stretch of the raw input; <paramref name="atStart"/> where it begins the input.</summary>
    public static NormalizedText Raw(string text, bool atStart) =>
        new(text, atStart && text.Length > 0 ? WellFormed.RuneAt(text, 0).Utf16SequenceLength : 0);

    /// <summary>Maps every code point on its own; the map appends what stands for it.</summary>
    public NormalizedText Map(Action<StringBuilder, Rune> map)
    {
        var result = new StringBuilder(Text.Length + 16);
        var origin = 0;
        var index = 0;
        foreach (var rune in Text.EnumerateRunes())
        {
            map(result, rune);
            index += rune.Utf16SequenceLength;
            if (index <= Origin)
                origin = result.Length;
        }

        return new NormalizedText(result.ToString(), origin);
    }

    /// <summary>A part of the text, as its own text.</summary>
    public NormalizedText Slice(int start, int end) =>
        new(start == 0 && end == Text.Length ? Text : Text[start..end], Math.Clamp(Origin - start, 0, end - start));
}
