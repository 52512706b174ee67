namespace MergeKit.Core.Tokenization.PreTokenizers;

/// <summary><c>FixedLength</c>: pieces of so many code points; the last may be shorter.</summary>
internal sealed class FixedLengthPreTokenizer(int length) : PreTokenizer
{
    /// <inheritdoc/>
    public override void Split(in Piece piece, IPieceSink sink)
    {
        var span = piece.Span;
        for (int start = 0, end; start < span.Length; start = end)
        {
            end = start;
            for (var taken = 0; taken < length && end < span.Length; taken++)
                end += WellFormed.RuneAt(span, end).Utf16SequenceLength;
            sink.Add(piece.Slice(start, end));
        }
    }
}
