using MergeKit.Core.Tokenization.PreTokenizers;

namespace MergeKit.Core.Tokenization.Models;

/// <summary>The end of the pre-tokenizers: hands words to the model, and remembers what came out.</summary>
/// <param name="model">The model.</param>
/// <param name="byteLevel">Whether the last pre-tokenizer turned bytes into characters; then that is done here, for new words only.</param>
internal sealed class WordEncoder(TokenModel model, bool byteLevel)
{
    private readonly WordCache _cache = new();
    private readonly WordJoint _joint = byteLevel ? WordJoint.None : model.Joint;

    /// <summary>Appends the tokens of a word.</summary>
    public void Encode(ReadOnlySpan<char> word, TokenList output)
    {
        if (_joint.Mark is null)
        {
            EncodePart(word, output);
            return;
        }

        for (int start = 0, end; start < word.Length; start = end)
        {
            end = _joint.PartEnd(word, start);
            EncodePart(word[start..end], output);
        }
    }

    private void EncodePart(ReadOnlySpan<char> word, TokenList output)
    {
        if (word.Length > WordCache.MaxWord || output.KeepsTexts)
        {
            Tokenize(word, output);
            return;
        }

        var hash = WordCache.Hash(word);
        if (_cache.TryAppend(word, hash, output))
            return;
        var count = output.Count;
        Tokenize(word, output);
        _cache.Set(word, hash, output.Ids[count..]);
    }

    private void Tokenize(ReadOnlySpan<char> word, TokenList output)
    {
        if (byteLevel)
            model.Tokenize(ByteAlphabet.Encode(word), output);
        else
            model.Tokenize(word, output);
    }
}
