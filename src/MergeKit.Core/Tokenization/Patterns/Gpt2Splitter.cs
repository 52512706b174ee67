namespace MergeKit.Core.Tokenization.Patterns;

/// <summary>Equals <see cref="KnownSplits.Gpt2"/>. Every code point is part of a match.</summary>
internal sealed class Gpt2Splitter : Pattern
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

    private static int End(ReadOnlySpan<char> text, int at)
    {
        var unit = text[at];
        if (unit == '\'' && Contraction(text[(at + 1)..]) is > 0 and var length)
            return at + 1 + length;
        var kind = SplitScan.KindAt(text, at, out var first);
        if (unit == ' ' && at + 1 < text.Length && SplitScan.KindAt(text, at + 1, out var second) is not SplitKind.Space and var next)
            return SplitScan.RunEnd(text, at + 1 + second, next);
        var run = SplitScan.RunEnd(text, at + first, kind);
        return kind == SplitKind.Space ? SplitScan.SpaceEnd(at, run, text.Length) : run;
    }

    private static int Contraction(ReadOnlySpan<char> rest) => rest switch
    {
        ['s' or 't' or 'm' or 'd', ..] => 1,
        ['r' or 'v', 'e', ..] or ['l', 'l', ..] => 2,
        _ => 0,
    };
}
