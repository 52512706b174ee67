using System.Text;
using MergeKit.Core.Tokenization.Patterns;

namespace MergeKit.Core.Tokenization.PreTokenizers;

/// <summary>When Metaspace sets its mark before a piece.</summary>
internal enum PrependScheme
{
    /// <summary>Before every piece.</summary>
    Always,

    /// <summary>Before the piece that begins the input.</summary>
    First,

    /// <summary>Never.</summary>
    Never,
}

/// <summary><c>Metaspace</c>: spaces become a visible mark, which begins the words.</summary>
internal sealed class MetaspacePreTokenizer(Rune mark, PrependScheme scheme, bool split) : PreTokenizer
{
    private readonly string _mark = mark.ToString();
    private readonly SplitPreTokenizer _split = new(new LiteralPattern(mark.ToString()), SplitBehavior.MergedWithNext);

    /// <inheritdoc/>
    public override void Split(in Piece piece, IPieceSink sink)
    {
        var source = piece.Span;
        var text = new StringBuilder(source.Length + 1).Append(source).Replace(" ", _mark).ToString();
        var prepend = !text.StartsWith(_mark, StringComparison.Ordinal)
            && (scheme == PrependScheme.Always || (scheme == PrependScheme.First && piece.IsAtOrigin));
        if (prepend)
            text = _mark + text;
        var first = source[0] == ' ' ? _mark.Length : WellFormed.RuneAt(source, 0).Utf16SequenceLength;
        var marked = piece.WithText(text, first + (prepend ? _mark.Length : 0));
        if (split)
            _split.Split(marked, sink);
        else
            sink.Add(marked);
    }
}
