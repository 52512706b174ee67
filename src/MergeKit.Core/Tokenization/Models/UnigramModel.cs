using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Tokenization.Models;

/// <summary><c>Unigram</c> (Kudo 2018): the segmentation of highest total log-probability, found by Viterbi's algorithm.
/// A code point that begins no token of its own length may be unknown, at the lowest score of all minus 10; neighbouring
/// unknowns fuse into one, which byte tokens spell where byte_fallback is set.</summary>
internal sealed class UnigramModel : TokenModel
{
    private const double UnknownPenalty = 10;
    private readonly double[] _scores;
    private readonly int? _unknown;
    private readonly int[]? _bytes;
    private readonly TokenTrie _trie;
    private readonly double _unknownScore;

    /// <summary>A model with one score per id.</summary>
    public UnigramModel(Vocabulary vocabulary, double[] scores, int? unknown, bool byteFallback, string file) : base(vocabulary, file)
    {
        (_scores, _unknown) = (scores, unknown);
        _trie = new TokenTrie(vocabulary.Ids);
        _unknownScore = scores.DefaultIfEmpty(0).Min() - UnknownPenalty;
        _bytes = byteFallback ? vocabulary.ByteTokens() : null;
    }

    /// <summary>The lowest log-probability of all pieces.</summary>
    public double LowestScore => _unknownScore + UnknownPenalty;

    /// <summary>The log-probability of a piece.</summary>
    public double Score(int id) => _scores[id];

    /// <summary>The best way to a position.</summary>
    private struct Node
    {
        public double Score;
        public int Start;
        public int Id;
    }

    /// <inheritdoc/>
    public override void Tokenize(ReadOnlySpan<char> word, TokenList output)
    {
        var best = FindBest(word);
        var cuts = new List<(int Start, int End)>();
        var fused = -1;
        for (var end = word.Length; end > 0; end = best[end].Start)
        {
            var unknown = best[end].Id == _unknown;
            if (unknown && fused >= 0)
                cuts[^1] = (best[end].Start, cuts[^1].End);
            else
                cuts.Add((best[end].Start, end));
            fused = unknown ? end : -1;
        }

        for (var i = cuts.Count - 1; i >= 0; i--)
            Emit(word[cuts[i].Start..cuts[i].End], output);
    }

    private Node[] FindBest(ReadOnlySpan<char> word)
    {
        var best = new Node[word.Length + 1];
        best.AsSpan(1).Fill(new Node { Start = -1 });
        for (int start = 0, width; start < word.Length; start += width)
        {
            width = WellFormed.RuneAt(word, start).Utf16SequenceLength;
            var hasSingle = false;
            var state = TokenTrie.Root;
            for (var end = start + 1; end <= word.Length && _trie.Step(ref state, word[end - 1], out var id); end++)
            {
                if (id < 0)
                    continue;
                Improve(ref best[end], best[start].Score + _scores[id], start, id);
                hasSingle |= end - start == width;
            }

            if (!hasSingle)
                Improve(ref best[start + width], best[start].Score + _unknownScore, start, _unknown ?? throw NoUnknown(word[start..]));
        }

        return best;
    }

    private static void Improve(ref Node node, double score, int start, int id)
    {
        if (node.Start < 0 || score > node.Score)
            node = new Node { Score = score, Start = start, Id = id };
    }

    private void Emit(ReadOnlySpan<char> text, TokenList output)
    {
        if (Vocabulary.TryGetId(text, out var id))
            output.Add(id);
        else if (!EmitBytes(text, output))
            output.Add(_unknown ?? throw NoUnknown(text), text);
    }

    private bool EmitBytes(ReadOnlySpan<char> text, TokenList output)
    {
        if (_bytes is null)
            return false;
        var count = output.Count;
        Span<byte> utf8 = stackalloc byte[4];
        foreach (var rune in text.EnumerateRunes())
        {
            foreach (var b in utf8[..rune.EncodeToUtf8(utf8)])
            {
                if (_bytes[b] < 0)
                {
                    output.Truncate(count);
                    return false;
                }

                output.Add(_bytes[b]);
            }
        }

        return true;
    }

    private InputException NoUnknown(ReadOnlySpan<char> text) =>
        new($"{File}: '{text[..Math.Min(text.Length, 40)]}' is not in the vocabulary, and model.unk_id is null");
}
