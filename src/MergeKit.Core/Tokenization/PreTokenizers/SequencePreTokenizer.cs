namespace MergeKit.Core.Tokenization.PreTokenizers;

/// <summary><c>Sequence</c>: each takes the pieces of the one before.</summary>
internal sealed class SequencePreTokenizer(IReadOnlyList<PreTokenizer> parts) : PreTokenizer
{
    /// <inheritdoc/>
    public override void Split(in Piece piece, IPieceSink sink)
    {
        for (var i = parts.Count - 1; i >= 1; i--)
            sink = new Stage(parts[i], sink);
        if (parts.Count == 0)
            sink.Add(piece);
        else
            parts[0].Split(piece, sink);
    }

    private sealed class Stage(PreTokenizer part, IPieceSink next) : IPieceSink
    {
        public void Add(in Piece piece) => part.Split(piece, next);
    }
}
