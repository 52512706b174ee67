namespace MergeKit.Core.Tokenization.Models;

/// <summary>A growing list of token ids; where asked for, with the texts of tokens that are not those of their ids.</summary>
internal sealed class TokenList(bool keepsTexts = false)
{
    private int[] _ids = new int[16];
    private Dictionary<int, string>? _texts;

    /// <summary>Whether texts are kept.</summary>
    public bool KeepsTexts => keepsTexts;

    /// <summary>Number of tokens.</summary>
    public int Count { get; private set; }

    /// <summary>The ids so far.</summary>
    public ReadOnlySpan<int> Ids => _ids.AsSpan(0, Count);

    /// <summary>Appends a token.</summary>
    public void Add(int id)
    {
        if (Count == _ids.Length)
            Array.Resize(ref _ids, 2 * Count);
        _ids[Count++] = id;
    }

    /// <summary>Appends tokens.</summary>
    public void Add(ReadOnlySpan<int> ids)
    {
        if (ids.Length > _ids.Length - Count)
            Array.Resize(ref _ids, Math.Max(2 * _ids.Length, Count + ids.Length));
        ids.CopyTo(_ids.AsSpan(Count));
        Count += ids.Length;
    }

    /// <summary>Appends a token that stands for this text, whatever the vocabulary says of its id.</summary>
    public void Add(int id, ReadOnlySpan<char> text)
    {
        if (keepsTexts)
            (_texts ??= [])[Count] = text.ToString();
        Add(id);
    }

    /// <summary>The text kept for a token, or null.</summary>
    public string? TextAt(int index) => _texts?.GetValueOrDefault(index);

    /// <summary>Drops all tokens from an index on.</summary>
    public void Truncate(int count) => Count = count;
}
