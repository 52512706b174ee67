using MergeKit.Core.Tokenization;
using MergeKit.Core.Tokenization.Vocabularies;

namespace MergeKit.Core.Merging.Transplanting;

/// <summary>Why a token of the donor gets the row it gets.</summary>
public enum TokenMatch
{
    /// <summary>No token: the row is padding.</summary>
    Padding,

    /// <summary>The model has a token for the same text.</summary>
    Text,

    /// <summary>The model's special token of the same role (begin, end, unknown, pad) has another name.</summary>
    Role,

    /// <summary>Byte and character.</summary>
    Byte,

    /// <summary>The longest token that it begins with.</summary>
    Prefix,

    /// <summary>None: the row is made.</summary>
    New,

    /// <summary>Badly trained in both models: the row is zero.</summary>
    Untrained,
}

/// <summary>Which of the model's rows stand for the donor's tokens.</summary>
internal sealed class TokenMatches
{
    private Dictionary<TokenText, int> _model;
    private readonly Tokenizer _modelTokenizer;
    private readonly Tokenizer _donorTokenizer;
    private readonly int _limit;

    /// <summary>Matches the donor's tokens with those of the model that have rows.</summary>
    /// <param name="model">The model's tokenizer.</param>
    /// <param name="limit">Rows that the model has.</param>
    /// <param name="donor">The donor's tokenizer.</param>
    /// <param name="rows">Rows of the result.</param>
    public TokenMatches(Tokenizer model, int limit, Tokenizer donor, int rows)
    {
        (_modelTokenizer, _donorTokenizer, _limit) = (model, donor, limit);
        _model = TokenText.All(model, limit);
        (Kinds, Rows, Texts) = (new TokenMatch[rows], new int[rows], new TokenText[rows]);
        Array.Fill(Rows, -1);
        foreach (var (token, id) in donor.Vocabulary.Where(pair => pair.Value < rows))
            (Texts[id], Kinds[id]) = (TokenText.Of(donor, token), TokenMatch.New);
        for (var row = 0; row < rows; row++)
            if (Kinds[row] == TokenMatch.New)
                MatchExactly(row);
    }

    /// <summary>Why each row of the result is what it is.</summary>
    public TokenMatch[] Kinds { get; }

    /// <summary>The model's row for each row of the result, or -1.</summary>
    public int[] Rows { get; }

    /// <summary>The text of each row of the result that is a token's.</summary>
    public TokenText[] Texts { get; }

    /// <summary>Rows of the result whose token the model has.</summary>
    public IEnumerable<int> Shared => Enumerable.Range(0, Rows.Length).Where(row => Kinds[row] is TokenMatch.Text or TokenMatch.Role);

    /// <summary>Counts as shared only what both models have trained well.</summary>
    /// <param name="model">The model's rows of well trained tokens.</param>
    /// <param name="donor">The donor's.</param>
    public void Restrict(HashSet<int> model, HashSet<int> donor)
    {
        var common = new HashSet<int>();
        for (var row = 0; row < Rows.Length; row++)
        {
            if (Kinds[row] == TokenMatch.Padding)
                continue;
            var (own, other) = (Rows[row] >= 0 && model.Contains(Rows[row]), donor.Contains(row));
            if (own && other)
                common.Add(Rows[row]);
            else
                (Kinds[row], Rows[row]) = (own || other ? TokenMatch.New : TokenMatch.Untrained, -1);
        }

        _model = _model.Where(pair => common.Contains(pair.Value)).ToDictionary(pair => pair.Key, pair => pair.Value);
    }

    /// <summary>The looser match of a token, where it is allowed: its kind and the model's row.</summary>
    public (TokenMatch Kind, int Row) Loosely(int row, bool bytes, bool prefixes)
    {
        var text = Texts[row];
        if (bytes && (text.AsByte ?? text.AsText) is { } other && _model.TryGetValue(other, out var single))
            return (TokenMatch.Byte, single);
        if (prefixes && text.Kind == TokenTextKind.Text)
            for (var length = text.Text.Length - 1; length > 0 && !string.IsNullOrWhiteSpace(text.Text[..length]); length--)
                if (!char.IsLowSurrogate(text.Text[length]) && _model.TryGetValue(new TokenText(TokenTextKind.Text, text.Text[..length]), out var prefix))
                    return (TokenMatch.Prefix, prefix);
        return (TokenMatch.New, -1);
    }

    private void MatchExactly(int row)
    {
        if (_model.TryGetValue(Texts[row], out var same))
            (Kinds[row], Rows[row]) = (TokenMatch.Text, same);
        else if (RoleOf(row) is { } role && role < _limit)
            (Kinds[row], Rows[row]) = (TokenMatch.Role, role);
    }

    /// <summary>The model's token of the role that a donor's special token has.</summary>
    private int? RoleOf(int row) =>
        row == _donorTokenizer.EosId ? _modelTokenizer.EosId
        : row == _donorTokenizer.BosId ? _modelTokenizer.BosId
        : row == _donorTokenizer.UnkId ? _modelTokenizer.UnkId
        : row == _donorTokenizer.PadId ? _modelTokenizer.PadId
        : null;
}
