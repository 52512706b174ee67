namespace MergeKit.Core.Tokenization.Patterns;

/// <summary>Equals <see cref="KnownSplits.Llama3"/> (three digits) and <see cref="KnownSplits.Qwen2"/> (one digit).
/// Every code point is part of a match.</summary>
internal sealed class Llama3Splitter(int maxDigits) : Pattern
{
    /// <inheritdoc/>
    public override bool Find(ReadOnlySpan<char> text, int from, out int start, out int end)
    {
        start = end = from;
        if (from >= text.Length)
            return false;
        end = End(text, from);
        return true;
    }

    private int End(ReadOnlySpan<char> text, int at)
    {
        var unit = text[at];
        if (unit == '\'' && Contraction(text[(at + 1)..]) is > 0 and var contracted)
            return at + 1 + contracted;
        var kind = SplitScan.KindAt(text, at, out var first);
        if (kind == SplitKind.Letter)
            return SplitScan.RunEnd(text, at + first, SplitKind.Letter);
        if (kind == SplitKind.Number)
            return SplitScan.RunEnd(text, at + first, SplitKind.Number, maxDigits - 1);
        if (at + first < text.Length && unit is not ('\r' or '\n'))
        {
            var next = SplitScan.KindAt(text, at + first, out var second);
            if (next == SplitKind.Letter)
                return SplitScan.RunEnd(text, at + first + second, SplitKind.Letter);
            if (unit == ' ' && next == SplitKind.Other)
                return LineBreaksEnd(text, SplitScan.RunEnd(text, at + 1 + second, SplitKind.Other));
        }

        return kind == SplitKind.Other
            ? LineBreaksEnd(text, SplitScan.RunEnd(text, at + first, SplitKind.Other))
            : WhiteEnd(text, at);
    }

    private static int WhiteEnd(ReadOnlySpan<char> text, int at)
    {
        var run = SplitScan.RunEnd(text, at, SplitKind.Space);
        var lastBreak = text[at..run].LastIndexOfAny('\r', '\n');
        return lastBreak >= 0 ? at + lastBreak + 1 : SplitScan.SpaceEnd(at, run, text.Length);
    }

    private static int LineBreaksEnd(ReadOnlySpan<char> text, int at)
    {
        while (at < text.Length && text[at] is '\r' or '\n')
            at++;
        return at;
    }

    /// <summary>Units behind the apostrophe that make a contraction, in either case; U+017F folds to s.</summary>
    private static int Contraction(ReadOnlySpan<char> rest) => rest switch
    {
        ['s' or 'S' or '\u017F' or 't' or 'T' or 'm' or 'M' or 'd' or 'D', ..] => 1,
        ['r' or 'R' or 'v' or 'V', 'e' or 'E', ..] or ['l' or 'L', 'l' or 'L', ..] => 2,
        _ => 0,
    };
}
