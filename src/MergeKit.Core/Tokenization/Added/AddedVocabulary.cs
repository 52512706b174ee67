using MergeKit.Core.Diagnostics;
using MergeKit.Core.Tokenization.Json;
using MergeKit.Core.Tokenization.Models;
using MergeKit.Core.Tokenization.Normalizers;

namespace MergeKit.Core.Tokenization.Added;

/// <summary>The added tokens of a file. Ids follow the library: a token that the model knows keeps the model's id, any
/// other gets the next free one; where the file states another id there is a warning.</summary>
internal sealed class AddedVocabulary
{
    private readonly Dictionary<string, AddedToken> _byContent = new(StringComparer.Ordinal);
    private readonly Dictionary<int, AddedToken> _byId = [];

    private AddedVocabulary() { }

    /// <summary>The tokens looked for in the raw text.</summary>
    public AddedTokenMatcher Raw { get; private set; } = new([]);

    /// <summary>The tokens looked for in the normalized text.</summary>
    public AddedTokenMatcher Normalized { get; private set; } = new([]);

    /// <summary>All tokens.</summary>
    public IReadOnlyCollection<AddedToken> Tokens => _byContent.Values;

    /// <summary>The token of this text, or null.</summary>
    public AddedToken? Find(string content) => _byContent.GetValueOrDefault(content);

    /// <summary>The token of this id, or null.</summary>
    public AddedToken? Find(int id) => _byId.GetValueOrDefault(id);

    /// <summary>Whether a text is that of a special token.</summary>
    public bool IsSpecial(string content) => Find(content) is { Special: true };

    /// <summary>Reads <c>added_tokens</c>.</summary>
    public static AddedVocabulary Read(JsonScope scope, TokenModel model, Normalizer? normalizer, List<Problem> problems)
    {
        var added = new AddedVocabulary();
        var next = model.Vocabulary.Ids.Count;
        foreach (var item in scope.ItemsOrNone())
        {
            var content = item.Get("content").RequireString();
            if (content.Length == 0)
                continue;
            var special = item.Get("special").Bool(false) || added.IsSpecial(content);
            var id = added.Find(content)?.Id ?? model.Vocabulary.Find(content) ?? next;
            added.Add(new AddedToken(content, id, special, item.Get("normalized").Bool(!special), item.Get("single_word").Bool(false),
                item.Get("lstrip").Bool(false), item.Get("rstrip").Bool(false)));
            next = Math.Max(next, id + 1);
            if (item.Get("id").RequireCount() is var stated && stated != id)
                problems.Add(Problem.Warning($"{item.File}: {item.Path} ('{content}') states the id {stated}, but gets {id}: " +
                    "added tokens have the id that the model's vocabulary gives them, or else the next free one"));
        }

        added.Raw = new AddedTokenMatcher([.. added.InOrder(normalized: false).Select(token => (token.Content, token))]);
        added.Normalized = new AddedTokenMatcher([.. added.InOrder(normalized: true).Select(token =>
            (normalizer?.Apply(NormalizedText.Raw(token.Content, true)).Text ?? token.Content, token))]);
        return added;
    }

    private void Add(AddedToken token)
    {
        _byContent[token.Content] = token;
        _byId[token.Id] = token;
    }

    private IEnumerable<AddedToken> InOrder(bool normalized) =>
        _byContent.Values.Where(token => token.Normalized == normalized).OrderByDescending(token => token.Special);
}
