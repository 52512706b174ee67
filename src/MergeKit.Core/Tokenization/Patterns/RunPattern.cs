using System.Text;

namespace MergeKit.Core.Tokenization.Patterns;

/// <summary>Longest runs of code points of one class; class 0 is no part of any match.</summary>
internal sealed class RunPattern(Func<Rune, int> classOf) : Pattern
{
    /// <inheritdoc/>
    public override bool Find(ReadOnlySpan<char> text, int from, out int start, out int end)
    {
        var kind = 0;
        start = from;
        for (end = from; end < text.Length;)
        {
            var rune = WellFormed.RuneAt(text, end);
            var next = classOf(rune);
            if (kind != 0 && next != kind)
                return true;
            if (kind == 0 && next != 0)
                (kind, start) = (next, end);
            end += rune.Utf16SequenceLength;
        }

        return kind != 0;
    }
}
