using MergeKit.Core.Diagnostics;
using MergeKit.Core.Recipes;
using MergeKit.Core.Tokenization.Vocabularies;

namespace MergeKit.Core.Merging.Planning.Vocabulary;

/// <summary>Resolves the rules under <c>tokenizer: tokens:</c> to rows.</summary>
internal sealed class TokenRules(TokenizerDraft draft, IReadOnlyDictionary<ModelReference, ModelVocabulary> models, List<Problem> problems)
{
    /// <summary>The rows that rules give, by output row.</summary>
    public Dictionary<int, RuledRow> Rows { get; } = [];

    /// <summary>Output rows that all models get, also those that have their own.</summary>
    public HashSet<int> Forced { get; } = [];

    /// <summary>Reads the rules; what cannot be followed is among the problems.</summary>
    public void Read(IEnumerable<TokenRule> rules)
    {
        foreach (var rule in rules)
        {
            if (!draft.Ids.TryGetValue(rule.Token, out var id))
            {
                var added = draft.Added.Select(token => token.Content);
                problems.Add(Problem.Error($"the result's vocabulary has no token '{rule.Token}', so a rule for it has no effect.{Spelling.Hint(rule.Token, added)}", rule.Location));
                continue;
            }

            if (rule.Force)
                Forced.Add(id);
            if (rule.Source is { } source && RowOf(rule.Token, source) is { } row)
                Rows[id] = row;
        }
    }

    private RuledRow? RowOf(string token, TokenSource source)
    {
        if (source.Kind == TokenSourceKind.Zero)
            return new RuledRow(null, 0);
        if (!models.TryGetValue(source.Model!, out var model))
            return null; // that it has no tokenizer is a problem already
        if (source.TokenId is { } id)
            return id < model.StoredRows ? new RuledRow(model.Model, id)
                : Refuse($"'token_id' is {id}, but the embedding of '{model.Model}' has {model.StoredRows} rows", source);
        var wanted = source.Kind == TokenSourceKind.ModelToken ? source.Token! : token;
        var row = model.RowOf(wanted);
        return row >= 0 ? new RuledRow(model.Model, row)
            : Refuse(model.Tokenizer.TokenToId(wanted) is { } beyond ? $"token '{wanted}' has id {beyond} in '{model.Model}', which is outside its {model.Limit} rows"
                : $"'{model.Model}' has no token '{wanted}'", source);
    }

    private RuledRow? Refuse(string message, TokenSource source)
    {
        problems.Add(Problem.Error(message, source.Location));
        return null;
    }
}
