namespace MergeKit.Core.Tokenization.PreTokenizers;

/// <summary>A part of a text on its way through the pre-tokenizers.</summary>
/// <param name="Text">The text it is part of.</param>
/// <param name="Start">First unit.</param>
/// <param name="Length">Number of units, above zero.</param>
/// <param name="Origin">Units of <paramref name="Text"/> below this index stem from the first character of the whole input.</param>
internal readonly record struct Piece(string Text, int Start, int Length, int Origin)
{
    /// <summary>The units themselves.</summary>
    public ReadOnlySpan<char> Span => Text.AsSpan(Start, Length);

    /// <summary>Whether the piece begins with the first character of the whole input.</summary>
    public bool IsAtOrigin => Start < Origin;

    /// <summary>A part of the piece; indices count from its start.</summary>
    public Piece Slice(int start, int end) => new(Text, Start + start, end - start, Origin);

    /// <summary>A piece with other text that begins where this one does; its first <paramref name="origin"/> units
    /// stand for the first character of the piece.</summary>
    public Piece WithText(string text, int origin) => new(text, 0, text.Length, IsAtOrigin ? origin : 0);
}

/// <summary>Takes pieces in order.</summary>
internal interface IPieceSink
{
    /// <summary>Takes the next piece; empty ones are dropped before.</summary>
    void Add(in Piece piece);
}

/// <summary>Cuts a piece of normalized text into smaller ones, and may change their text.</summary>
internal abstract class PreTokenizer
{
    /// <summary>Hands the parts of a non-empty piece on, in order.</summary>
    public abstract void Split(in Piece piece, IPieceSink sink);
}
