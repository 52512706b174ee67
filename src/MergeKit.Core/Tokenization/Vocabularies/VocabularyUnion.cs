using MergeKit.Core.Diagnostics;
using MergeKit.Core.Tokenization.Added;

namespace MergeKit.Core.Tokenization.Vocabularies;

/// <summary>One tokenizer of a union.</summary>
/// <param name="Name">Whose it is, for messages.</param>
/// <param name="Tokenizer">The tokenizer.</param>
/// <param name="Limit">Tokens with this id or a higher one have no row in the model and do not count.</param>
internal sealed record UnionMember(string Name, Tokenizer Tokenizer, int Limit);

/// <summary>Unites vocabularies: the first one's tokens with their ids, then model tokens that only others have, in their order, then added tokens that
/// are still missing. New tokens of byte-pair models bring their merges along (<see cref="MergeUnion"/>), so that text is encoded with them; mergekit makes
/// them added tokens, which cut through words wherever their letters stand, or (byte-level) are never found at all.</summary>
internal static class VocabularyUnion
{
    /// <summary>The united tokenizer; reasons against it are errors among the problems.</summary>
    public static TokenizerDraft Unite(IReadOnlyList<UnionMember> members, List<Problem> problems)
    {
        var first = members[0];
        var draft = new TokenizerDraft(first.Tokenizer, first.Limit);
        var others = members.Skip(1).Where(member => member.Tokenizer != first.Tokenizer).ToList();
        var addedNames = members.SelectMany(Added).Select(token => token.Content).ToHashSet(StringComparer.Ordinal);
        var contributors = others.Where(other => AddModelTokens(draft, first, other, addedNames, problems)).ToList();
        foreach (var other in others)
            AddAddedTokens(draft, other, problems);
        if (first.Tokenizer.Kind.Model == "BPE" && contributors.Count > 0)
            AddMerges(draft, contributors, problems);
        return draft;
    }

    private static IEnumerable<AddedToken> Added(UnionMember member) =>
        member.Tokenizer.AddedTokens.Where(token => token.Id < member.Limit).OrderBy(token => token.Id);

    private static bool AddModelTokens(TokenizerDraft draft, UnionMember first, UnionMember other, HashSet<string> addedNames, List<Problem> problems)
    {
        var vocabulary = other.Tokenizer.ModelVocabulary;
        var fresh = vocabulary.Ids.Where(pair => pair.Value < other.Limit && !addedNames.Contains(pair.Key) && !draft.Ids.ContainsKey(pair.Key))
            .OrderBy(pair => pair.Value).ToList();
        if (fresh.Count == 0)
            return false;
        if (first.Tokenizer.Kind.Conflict(other.Tokenizer.Kind) is { } conflict)
        {
            problems.Add(Problem.Error($"the tokenizers of '{first.Name}' and '{other.Name}' cannot be united: {conflict}, so their tokens do not stand for the same text. "
                + "Take one model's tokenizer (tokenizer: {source: base}, or a model), or give a model the other's tokenizer first (mergekit transplant-tokenizer)"));
            return false;
        }

        if (first.Tokenizer.Kind.Preparation(other.Tokenizer.Kind) is { } steps)
            problems.Add(Problem.Warning($"the {steps} of '{first.Name}' and '{other.Name}' differ: those of '{first.Name}' are used, so some of the {fresh.Count} tokens "
                + $"that come from '{other.Name}' may never occur"));
        foreach (var (token, id) in fresh)
            draft.AddModelToken(token, other.Tokenizer.Score(id));
        return true;
    }

    private static void AddAddedTokens(TokenizerDraft draft, UnionMember other, List<Problem> problems)
    {
        var known = draft.Added.ToDictionary(token => token.Content, StringComparer.Ordinal);
        var clashes = new List<string>();
        foreach (var token in Added(other))
        {
            if (!known.TryGetValue(token.Content, out var mine))
                draft.AddAddedToken(token);
            else if (mine with { Id = 0 } != token with { Id = 0 })
                clashes.Add(token.Content);
        }

        if (clashes.Count > 0)
            problems.Add(Problem.Warning($"added tokens of '{other.Name}' are found in text by other rules (special, normalized, strip) than in the models before it; "
                + $"theirs are used: {string.Join(", ", clashes.Take(5).Select(token => $"'{token}'"))}{(clashes.Count > 5 ? $" and {clashes.Count - 5} more" : "")}"));
    }

    private static void AddMerges(TokenizerDraft draft, List<UnionMember> contributors, List<Problem> problems)
    {
        var union = new MergeUnion(draft, [.. contributors.Select(member => member.Tokenizer)]);
        var lost = union.Complete();
        draft.AddMerges(union.Added);
        if (lost.Count > 0)
            problems.Add(Problem.Note($"{lost.Count} of {draft.ModelTokens.Count} new tokens can never occur, as no merges of tokens lead to them "
                + $"({string.Join(", ", lost.Take(4).Select(token => $"'{token}'"))}{(lost.Count > 4 ? ", ..." : "")})"));
    }
}
