namespace MergeKit.Core.Tokenization.Models;

/// <summary><c>WordPiece</c> (Schuster and Nakajima 2012; Devlin et al. 2019): the longest known beginning, then the longest
/// known continuation, and so on; a word that cannot be covered, or that is too long, is unknown as a whole.</summary>
internal sealed class WordPieceModel(Vocabulary vocabulary, string unknown, string prefix, int maxLength, string file)
    : TokenModel(vocabulary, file)
{
    private readonly int _longest = vocabulary.Ids.Keys.Select(token => token.Length).DefaultIfEmpty(0).Max();

    /// <inheritdoc/>
    public override void Tokenize(ReadOnlySpan<char> word, TokenList output)
    {
        var count = output.Count;
        if (RuneCount(word) <= maxLength && Cover(word, output))
            return;
        output.Truncate(count);
        if (!Vocabulary.TryGetId(unknown, out var id))
            throw Unknown(word, unknown);
        output.Add(id);
    }

    private bool Cover(ReadOnlySpan<char> word, TokenList output)
    {
        var buffer = new char[prefix.Length + Math.Min(word.Length, _longest)];
        prefix.CopyTo(buffer);
        for (int start = 0, end; start < word.Length; start = end)
        {
            var lead = start == 0 ? 0 : prefix.Length;
            end = Math.Min(word.Length, start + Math.Max(0, _longest - lead));
            if (end < word.Length && end > start && char.IsLowSurrogate(word[end]))
                end--;
            word[start..end].CopyTo(buffer.AsSpan(prefix.Length));
            var text = buffer.AsSpan(prefix.Length - lead, lead + end - start);
            int id;
            while (!Vocabulary.TryGetId(text, out id))
            {
                if (end <= start)
                    return false;
                var last = WellFormed.RuneBefore(word, end).Utf16SequenceLength;
                end -= last;
                text = text[..^last];
            }

            if (end <= start)
                return false;
            output.Add(id);
        }

        return true;
    }

    private static int RuneCount(ReadOnlySpan<char> word)
    {
        var count = word.Length;
        foreach (var unit in word)
            if (char.IsLowSurrogate(unit))
                count--;
        return count;
    }
}
