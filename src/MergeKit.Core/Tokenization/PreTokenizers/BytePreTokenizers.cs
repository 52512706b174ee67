using System.Text;
using MergeKit.Core.Tokenization.Patterns;

namespace MergeKit.Core.Tokenization.PreTokenizers;

/// <summary>The <c>add_prefix_space</c> of <c>ByteLevel</c>: a space before every piece that has none.</summary>
internal sealed class PrefixSpacePreTokenizer : PreTokenizer
{
    /// <inheritdoc/>
    public override void Split(in Piece piece, IPieceSink sink)
    {
        var span = piece.Span;
        sink.Add(span[0] == ' ' ? piece : piece.WithText(string.Concat(" ", span), 1 + WellFormed.RuneAt(span, 0).Utf16SequenceLength));
    }
}

/// <summary>The alphabet of <c>ByteLevel</c>: every UTF-8 byte as its printable character.</summary>
internal sealed class ByteAlphabetPreTokenizer : PreTokenizer
{
    /// <inheritdoc/>
    public override void Split(in Piece piece, IPieceSink sink)
    {
        var span = piece.Span;
        var first = span[..WellFormed.RuneAt(span, 0).Utf16SequenceLength];
        sink.Add(piece.WithText(ByteAlphabet.Encode(span), ByteAlphabet.Encode(first).Length));
    }
}
