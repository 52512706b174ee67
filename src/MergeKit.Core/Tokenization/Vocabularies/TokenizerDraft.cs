using MergeKit.Core.Tokenization.Added;
using MergeKit.Core.Tokenization.Models;

namespace MergeKit.Core.Tokenization.Vocabularies;

/// <summary>A token that is put into the model's own vocabulary.</summary>
/// <param name="Token">Its text.</param>
/// <param name="Id">Its id.</param>
/// <param name="Score">Its log-probability, for Unigram models.</param>
internal sealed record ModelToken(string Token, int Id, double Score);

/// <summary>A tokenizer in the making: an existing one with tokens taken out and put in. Tokens that stay keep their ids.</summary>
internal sealed class TokenizerDraft
{
    private readonly Dictionary<string, int> _ids;
    private readonly List<AddedToken> _added;
    private readonly List<ModelToken> _modelTokens = [];
    private readonly List<TokenMerge> _merges = [];

    /// <summary>Starts with a tokenizer's tokens whose ids are below a limit.</summary>
    public TokenizerDraft(Tokenizer source, int limit)
    {
        Source = source;
        _ids = new Dictionary<string, int>(source.Vocabulary.Where(pair => pair.Value < limit), StringComparer.Ordinal);
        _added = [.. source.AddedTokens.Where(token => token.Id < limit).OrderBy(token => token.Id)];
        Next = Math.Min(limit, source.VocabularySize);
        IsTrimmed = _ids.Count < source.Vocabulary.Count;
    }

    /// <summary>The tokenizer that it starts from.</summary>
    public Tokenizer Source { get; }

    /// <summary>Every token and its id.</summary>
    public IReadOnlyDictionary<string, int> Ids => _ids;

    /// <summary>Added tokens, by id.</summary>
    public IReadOnlyList<AddedToken> Added => _added;

    /// <summary>Tokens put into the model's vocabulary, by id.</summary>
    public IReadOnlyList<ModelToken> ModelTokens => _modelTokens;

    /// <summary>Merges put behind those of the source, for byte-pair models.</summary>
    public IReadOnlyList<TokenMerge> Merges => _merges;

    /// <summary>Whether tokens of the source were left out.</summary>
    public bool IsTrimmed { get; }

    /// <summary>Whether the result differs from the source.</summary>
    public bool IsChanged => IsTrimmed || _modelTokens.Count > 0 || _added.Count != Source.AddedTokens.Count;

    /// <summary>The id that the next new token gets: one more than the highest.</summary>
    public int Next { get; private set; }

    /// <summary>Puts a token into the model's vocabulary.</summary>
    public void AddModelToken(string token, double score)
    {
        _modelTokens.Add(new ModelToken(token, Next, score));
        _ids.Add(token, Next++);
    }

    /// <summary>Adds an added token; one that the vocabulary has keeps its id.</summary>
    public void AddAddedToken(AddedToken token)
    {
        if (!_ids.TryGetValue(token.Content, out var id))
            _ids.Add(token.Content, id = Next++);
        _added.Add(token with { Id = id });
    }

    /// <summary>Adds merges behind those that are there.</summary>
    public void AddMerges(IEnumerable<TokenMerge> merges) => _merges.AddRange(merges);
}
