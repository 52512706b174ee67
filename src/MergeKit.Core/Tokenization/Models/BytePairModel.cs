using System.Buffers;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Tokenization.Models;

/// <summary>How a byte-pair model treats what its merges do not cover.</summary>
internal sealed record BytePairOptions
{
    /// <summary>The token for unknown characters; without one they are dropped.</summary>
    public string? Unknown { get; init; }

    /// <summary>Put before every character but the first of a word.</summary>
    public string? Prefix { get; init; }

    /// <summary>Put behind the last character of a word.</summary>
    public string? Suffix { get; init; }

    /// <summary>Whether neighbouring unknown characters make one token.</summary>
    public bool FuseUnknown { get; init; }

    /// <summary>Whether unknown characters are spelt by their UTF-8 bytes.</summary>
    public bool ByteFallback { get; init; }

    /// <summary>Whether a word that is a token is taken as it is.</summary>
    public bool IgnoreMerges { get; init; }
}

/// <summary><c>BPE</c> (Sennrich et al. 2016): a word starts as its characters, and pairs merge by rank.</summary>
internal sealed class BytePairModel : TokenModel
{
    private const char Metaspace = '\u2581';
    private readonly BytePairOptions _options;
    private readonly MergeTable _merges;
    private readonly int[] _units = new int[0x10000];
    private readonly int[]? _bytes;
    private readonly int _unknown = -1;
    private readonly int _prefix;
    private readonly int _suffix;

    /// <summary>A model; <paramref name="joints"/> says whether no merge joins other text with a metaspace behind it.</summary>
    public BytePairModel(Vocabulary vocabulary, MergeTable merges, BytePairOptions options, bool joints, string file)
        : base(vocabulary, file)
    {
        (_merges, _options) = (merges, options);
        (_prefix, _suffix) = (options.Prefix?.Length ?? 0, options.Suffix?.Length ?? 0);
        Array.Fill(_units, -1);
        foreach (var (token, id) in vocabulary.Ids)
            if (token.Length == 1)
                _units[token[0]] = id;
        if (options.ByteFallback)
            _bytes = vocabulary.ByteTokens();
        if (options.Unknown is not null)
            _unknown = vocabulary.Find(options.Unknown) ?? -1;
        var whole = options.IgnoreMerges || options.Prefix is not null || options.Suffix is not null;
        Joint = new WordJoint(joints && !whole && _units[Metaspace] >= 0 ? Metaspace : null);
    }

    /// <inheritdoc/>
    public override WordJoint Joint { get; }

    /// <inheritdoc/>
    public override void Tokenize(ReadOnlySpan<char> word, TokenList output)
    {
        if (_options.IgnoreMerges && Vocabulary.TryGetId(word, out var whole))
        {
            output.Add(whole);
            return;
        }

        var row = ArrayPool<int>.Shared.Rent(checked(_bytes is null ? word.Length : 3 * (word.Length * (1 + _prefix) + _suffix)));
        var count = Spell(word, row);
        count = BytePairMerger.Merge(row.AsSpan(0, count), _merges);
        output.Add(row.AsSpan(0, count));
        ArrayPool<int>.Shared.Return(row);
    }

    /// <summary>Writes the tokens of the single characters. An unknown one waits for the next known one, as those before
    /// it that are spelt by bytes do not: this is the library's order.</summary>
    private int Spell(ReadOnlySpan<char> word, int[] row)
    {
        var (count, waiting) = (0, false);
        for (int at = 0, width; at < word.Length; at += width)
        {
            width = char.IsHighSurrogate(word[at]) ? 2 : 1;
            var id = Single(word, at, width);
            if (id >= 0)
            {
                if (waiting)
                    row[count++] = _unknown;
                (row[count++], waiting) = (id, false);
            }
            else if (_bytes is null || !SpellBytes(Decorated(word, at, width), row, ref count))
            {
                if (_options.Unknown is null)
                    continue;
                if (_unknown < 0)
                    throw new InputException($"{File}: the unknown token '{_options.Unknown}' is not in the vocabulary");
                if (waiting && !_options.FuseUnknown)
                    row[count++] = _unknown;
                waiting = true;
            }
        }

        if (waiting)
            row[count++] = _unknown;
        return count;
    }

    private int Single(ReadOnlySpan<char> word, int at, int width)
    {
        if (width == 1 && _options.Prefix is null && _options.Suffix is null)
            return _units[word[at]];
        return Vocabulary.TryGetId(Decorated(word, at, width), out var id) ? id : -1;
    }

    private ReadOnlySpan<char> Decorated(ReadOnlySpan<char> word, int at, int width)
    {
        var text = word.Slice(at, width);
        var prefix = at > 0 ? _options.Prefix : null;
        var suffix = at + width == word.Length ? _options.Suffix : null;
        return prefix is null && suffix is null ? text : string.Concat(prefix, text, suffix);
    }

    private bool SpellBytes(ReadOnlySpan<char> text, int[] row, ref int count)
    {
        var utf8 = new byte[System.Text.Encoding.UTF8.GetMaxByteCount(text.Length)];
        var length = System.Text.Encoding.UTF8.GetBytes(text, utf8);
        var start = count;
        foreach (var b in utf8.AsSpan(0, length))
        {
            if (_bytes![b] < 0)
            {
                count = start;
                return false;
            }

            row[count++] = _bytes[b];
        }

        return true;
    }
}
