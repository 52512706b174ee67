namespace MergeKit.Core.Tokenization.Models;

/// <summary>Where a model's words fall apart into parts that it tokenizes on their own.</summary>
/// <param name="Mark">The character that begins the parts: a boundary lies before each that follows another character.
/// Null: words do not fall apart.</param>
internal readonly record struct WordJoint(char? Mark)
{
    /// <summary>Words are whole.</summary>
    public static WordJoint None => default;

    /// <summary>The end of the part that begins at an index.</summary>
    public int PartEnd(ReadOnlySpan<char> word, int start)
    {
        if (Mark is not { } mark)
            return word.Length;
        var text = start;
        while (text < word.Length && word[text] == mark)
            text++;
        var next = word[text..].IndexOf(mark);
        return next < 0 ? word.Length : text + next;
    }
}
