using System.Buffers;
using MergeKit.Core.Tokenization.Models;
using MergeKit.Core.Tokenization.Unicode;

namespace MergeKit.Core.Tokenization.Added;

/// <summary>A stretch of text that is an added token, or the text between two.</summary>
internal readonly record struct AddedMatch(AddedToken? Token, int Start, int End);

/// <summary>Finds added tokens: the leftmost, and of those that start together the longest. A match that
/// <c>single_word</c> rules out still uses up its text.</summary>
internal sealed class AddedTokenMatcher
{
    private readonly AddedToken[] _tokens;
    private readonly TokenTrie _trie;
    private readonly SearchValues<char> _firsts;

    /// <summary>A matcher for tokens and the texts under which they are looked for; of equal texts the first counts.</summary>
    public AddedTokenMatcher(IReadOnlyList<(string Text, AddedToken Token)> tokens)
    {
        _tokens = [.. tokens.Select(entry => entry.Token)];
        _trie = new TokenTrie(tokens.Select((entry, index) => KeyValuePair.Create(entry.Text, index)));
        _firsts = SearchValues.Create([.. tokens.Where(entry => entry.Text.Length > 0).Select(entry => entry.Text[0]).Distinct()]);
    }

    /// <summary>Appends the stretches that make up the text, none of them empty; false, and nothing, where no token occurs.</summary>
    public bool Split(ReadOnlySpan<char> text, List<AddedMatch> output)
    {
        var (before, done) = (output.Count, 0);
        for (var at = 0; TryNext(text, ref at, out var token, out var end); at = end)
        {
            if (token.SingleWord && (IsWordBefore(text, at) || IsWordAt(text, end)))
                continue;
            var (start, stop) = (at, end);
            if (token.LStrip)
                start = Math.Min(stop, Math.Max(text[..start].TrimEnd().Length, done));
            if (token.RStrip)
                stop = text.Length - text[stop..].TrimStart().Length;
            if (done < start)
                output.Add(new AddedMatch(null, done, start));
            output.Add(new AddedMatch(token, start, stop));
            done = stop;
        }

        if (output.Count == before)
            return false;
        if (done < text.Length)
            output.Add(new AddedMatch(null, done, text.Length));
        return true;
    }

    private bool TryNext(ReadOnlySpan<char> text, ref int at, out AddedToken token, out int end)
    {
        for (; at < text.Length; at++)
        {
            var skip = text[at..].IndexOfAny(_firsts);
            if (skip < 0)
                break;
            at += skip;
            var (state, found) = (TokenTrie.Root, -1);
            end = at;
            for (var next = at; next < text.Length && _trie.Step(ref state, text[next], out var value); next++)
                if (value >= 0)
                    (found, end) = (value, next + 1);
            if (found < 0)
                continue;
            token = _tokens[found];
            return true;
        }

        (token, end) = (null!, at);
        return false;
    }

    private static bool IsWordBefore(ReadOnlySpan<char> text, int at) =>
        at > 0 && CharacterClass.IsWordOrJoiner(WellFormed.RuneBefore(text, at));

    private static bool IsWordAt(ReadOnlySpan<char> text, int at) =>
        at < text.Length && CharacterClass.IsWordOrJoiner(WellFormed.RuneAt(text, at));
}
