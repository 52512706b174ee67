using MergeKit.Core.Tokenization.Models;

namespace MergeKit.Core.Tokenization.Vocabularies;

/// <summary>Unites the merges of byte-pair tokenizers: the first one's keep their ranks, those of the others follow. Where the first one's merges cut a new token's text
/// so that no merge leads to the token any more, further merges of the pieces are put behind, so that the token can occur.</summary>
internal sealed class MergeUnion
{
    private readonly TokenizerDraft _draft;
    private readonly MergeTable _table;
    private readonly HashSet<long> _known = [];
    private readonly List<TokenMerge> _added = [];
    private readonly string[] _tokens;
    private readonly int _prefix;
    private int _rank;

    /// <summary>Begins with the first tokenizer's merges.</summary>
    /// <param name="draft">The vocabulary, already united.</param>
    /// <param name="others">Tokenizers whose merges follow.</param>
    public MergeUnion(TokenizerDraft draft, IReadOnlyList<Tokenizer> others)
    {
        _draft = draft;
        _prefix = draft.Source.Kind.Prefix?.Length ?? 0;
        _tokens = new string[draft.Next];
        foreach (var (token, id) in draft.Ids)
            _tokens[id] = token;
        var (own, theirs) = (draft.Source.Merges(), others.Select(other => other.Merges()).ToList());
        _table = new MergeTable(own.Count + theirs.Sum(merges => merges.Count) + draft.ModelTokens.Sum(token => token.Token.Length));
        foreach (var (left, right) in own)
            Add(left, right);
        _added.Clear();
        foreach (var merges in theirs)
            foreach (var (left, right) in merges)
                Add(left, right);
    }

    /// <summary>The merges to put behind the first tokenizer's.</summary>
    public IReadOnlyList<TokenMerge> Added => _added;

    /// <summary>Adds the merges that new tokens still lack, shorter tokens first; returns those tokens to which no merges can lead.</summary>
    public IReadOnlyList<string> Complete()
    {
        if (_draft.Source.Kind is not { Prefix: null, Suffix: null })
            return [];
        return [.. _draft.ModelTokens.OrderBy(token => token.Token.Length).Where(token => !Reach(token.Token)).Select(token => token.Token)];
    }

    private void Add(string left, string right)
    {
        if (_prefix <= right.Length && _draft.Ids.TryGetValue(left, out var first) && _draft.Ids.TryGetValue(right, out var second)
            && _draft.Ids.TryGetValue(left + right[_prefix..], out var joined) && _known.Add((long)first << 32 | (uint)second))
        {
            _table.Set(first, second, _rank++, joined);
            _added.Add(new TokenMerge(left, right));
        }
    }

    /// <summary>Whether a token's own text becomes the token, perhaps with merges added: while pieces are left, two neighbours join whose text is a token, the longest such first.</summary>
    private bool Reach(string token)
    {
        if (Spell(token) is not { } row)
            return false;
        var count = BytePairMerger.Merge(row, _table);
        while (count > 1)
        {
            var best = Enumerable.Range(0, count - 1).Where(i => _draft.Ids.ContainsKey(Pair(row, i))).OrderByDescending(i => Pair(row, i).Length).FirstOrDefault(-1);
            if (best < 0)
                return false;
            Add(_tokens[row[best]], _tokens[row[best + 1]]);
            count = BytePairMerger.Merge(row.AsSpan(0, count), _table);
        }

        return true;
    }

    private string Pair(int[] row, int i) => _tokens[row[i]] + _tokens[row[i + 1]];

    /// <summary>The single characters of a token; null where one is not in the vocabulary.</summary>
    private int[]? Spell(string token)
    {
        var row = new List<int>(token.Length);
        foreach (var rune in token.EnumerateRunes())
        {
            if (!_draft.Ids.TryGetValue(rune.ToString(), out var id))
                return null;
            row.Add(id);
        }

        return [.. row];
    }
}
