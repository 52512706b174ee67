namespace MergeKit.Core.Tokenization.Models;

/// <summary><c>WordLevel</c>: a word is a token, or unknown.</summary>
internal sealed class WordLevelModel(Vocabulary vocabulary, string unknown, string file) : TokenModel(vocabulary, file)
{
    /// <inheritdoc/>
    public override void Tokenize(ReadOnlySpan<char> word, TokenList output)
    {
        if (Vocabulary.TryGetId(word, out var id) || Vocabulary.TryGetId(unknown, out id))
            output.Add(id);
        else
            throw Unknown(word, unknown);
    }
}
