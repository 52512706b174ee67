using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Tokenization.Models;

/// <summary>Turns one word into tokens.</summary>
internal abstract class TokenModel(Vocabulary vocabulary, string file)
{
    /// <summary>The tokens of the model itself, without added ones.</summary>
    public Vocabulary Vocabulary => vocabulary;

    /// <summary>The file it was read from, for messages.</summary>
    protected string File => file;

    /// <summary>Whether the tokens of a word depend on nothing but the word, and its parts may be kept in a cache.</summary>
    public virtual WordJoint Joint => WordJoint.None;

    /// <summary>Appends the tokens of a word that is not empty.</summary>
    /// <exception cref="InputException">A part is not in the vocabulary and there is no token for unknown text.</exception>
    public abstract void Tokenize(ReadOnlySpan<char> word, TokenList output);

    /// <summary>The error that text is unknown and nothing stands for unknown text.</summary>
    protected InputException Unknown(ReadOnlySpan<char> text, string token) =>
        new($"{file}: '{text[..Math.Min(text.Length, 40)]}' is not in the vocabulary, and neither is the unknown token '{token}'");
}
