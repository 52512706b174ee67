using System.Text;

namespace MergeKit.Core.Tokenization.Patterns;

/// <summary>What Split and Replace look for.</summary>
internal abstract class Pattern
{
    /// <summary>The first match that starts at <paramref name="from"/> or later; indices are UTF-16 units.</summary>
    public abstract bool Find(ReadOnlySpan<char> text, int from, out int start, out int end);

    /// <summary>All matches from left to right, none overlapping.</summary>
    public MatchEnumerator Matches(ReadOnlySpan<char> text) => new(this, text);
}

/// <summary>Walks over matches. An empty match right behind the match before is passed over, as
/// Oniguruma's binding does; an empty text has no matches.</summary>
internal ref struct MatchEnumerator(Pattern pattern, ReadOnlySpan<char> text)
{
    private readonly ReadOnlySpan<char> _text = text;
    private int _from;
    private int _lastEnd = -1;

    /// <summary>The match found last.</summary>
    public (int Start, int End) Current { get; private set; }

    /// <summary>Finds the next match.</summary>
    public bool MoveNext()
    {
        while (_text.Length > 0 && _from <= _text.Length && pattern.Find(_text, _from, out var start, out var end))
        {
            if (start == end && end == _lastEnd)
            {
                _from += _from < _text.Length ? WellFormed.RuneAt(_text, _from).Utf16SequenceLength : 1;
                continue;
            }

            (_from, _lastEnd, Current) = (end, end, (start, end));
            return true;
        }

        return false;
    }
}

/// <summary>Literal text. The empty text matches between all code points.</summary>
internal sealed class LiteralPattern(string literal) : Pattern
{
    /// <inheritdoc/>
    public override bool Find(ReadOnlySpan<char> text, int from, out int start, out int end)
    {
        var index = text[from..].IndexOf(literal, StringComparison.Ordinal);
        (start, end) = (from + index, from + index + literal.Length);
        return index >= 0;
    }
}

/// <summary>Any one code point with a property.</summary>
internal sealed class RunePattern(Func<Rune, bool> property) : Pattern
{
    /// <inheritdoc/>
    public override bool Find(ReadOnlySpan<char> text, int from, out int start, out int end)
    {
        for (start = from; start < text.Length; start = end)
        {
            var rune = WellFormed.RuneAt(text, start);
            end = start + rune.Utf16SequenceLength;
            if (property(rune))
                return true;
        }

        end = start;
        return false;
    }
}
