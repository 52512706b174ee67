using MergeKit.Core.Tokenization.Patterns;

namespace MergeKit.Core.Tokenization.PreTokenizers;

/// <summary><c>Split</c>, and all others that cut at a pattern: <c>Whitespace</c>, <c>WhitespaceSplit</c>, <c>Punctuation</c>,
/// <c>Digits</c>, <c>CharDelimiterSplit</c>. With invert the text between the matches is the delimiter.</summary>
internal sealed class SplitPreTokenizer(Pattern pattern, SplitBehavior behavior, bool invert = false) : PreTokenizer
{
    /// <inheritdoc/>
    public override void Split(in Piece piece, IPieceSink sink)
    {
        var span = piece.Span;
        var emitter = new SplitEmitter(piece, behavior, sink);
        var matches = pattern.Matches(span);
        var done = 0;
        while (matches.MoveNext())
        {
            var (start, end) = matches.Current;
            if (start > done)
                emitter.Segment(done, start, invert);
            emitter.Segment(start, end, !invert);
            done = end;
        }

        if (span.Length > done)
            emitter.Segment(done, span.Length, invert);
        emitter.Flush();
    }
}
