namespace MergeKit.Core.Tokenization.Patterns;

/// <summary>A regular expression as a tree.</summary>
internal abstract record PatternNode;

/// <summary>One code point out of a set.</summary>
internal sealed record OneOf(CodePointSet Set) : PatternNode;

/// <summary>Parts one after the other; none is the empty text.</summary>
internal sealed record Chain(IReadOnlyList<PatternNode> Parts) : PatternNode;

/// <summary>The first choice that leads to a match.</summary>
internal sealed record Choice(IReadOnlyList<PatternNode> Parts) : PatternNode;

/// <summary>How a repetition gives back what it took.</summary>
internal enum Greed
{
    /// <summary>As much as possible, giving back.</summary>
    Greedy,

    /// <summary>As little as possible.</summary>
    Lazy,

    /// <summary>As much as possible, giving nothing back.</summary>
    Possessive,
}

/// <summary>A part from min to max times; max -1 is without bound.</summary>
internal sealed record Repeat(PatternNode Part, int Min, int Max, Greed Greed) : PatternNode;

/// <summary>A numbered group.</summary>
internal sealed record Capture(int Number, PatternNode Part) : PatternNode;

/// <summary>The text that a numbered group matched.</summary>
internal sealed record BackReference(int Number, bool IgnoreCase) : PatternNode;

/// <summary>A part that must (or must not) match before or behind the position, consuming nothing.</summary>
internal sealed record Look(PatternNode Part, bool Behind, bool Negated) : PatternNode;

/// <summary>A part that gives nothing back once matched.</summary>
internal sealed record Atomic(PatternNode Part) : PatternNode;

/// <summary>A condition on a position.</summary>
internal enum Place
{
    /// <summary><c>\A</c></summary>
    TextStart,

    /// <summary><c>\z</c></summary>
    TextEnd,

    /// <summary><c>\Z</c>: the end, or before a line feed at the end.</summary>
    TextEndOrLastNewline,

    /// <summary><c>^</c>: the start of a line.</summary>
    LineStart,

    /// <summary><c>$</c>: the end of a line.</summary>
    LineEnd,

    /// <summary><c>\b</c></summary>
    WordBoundary,

    /// <summary><c>\B</c></summary>
    NoWordBoundary,
}

/// <summary>A position with a property.</summary>
internal sealed record At(Place Place) : PatternNode;
