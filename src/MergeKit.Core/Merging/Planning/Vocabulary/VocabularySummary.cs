using MergeKit.Core.Diagnostics;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.Planning.Vocabulary;

/// <summary>Counts what a change of vocabulary does, and says what the user should know of it.</summary>
internal sealed class VocabularySummary(MergePlan plan, VocabularyPlan vocabulary, IReadOnlyList<ModelVocabulary> members, List<Problem> problems)
{
    private readonly string?[] _tokens = Names(vocabulary);

    /// <summary>Makes the report and the warnings.</summary>
    public void Write(string source, TokenizerSpec spec)
    {
        var own = members.Select(member => vocabulary.Own(member.Model)).ToList();
        var baseIndex = plan.Recipe.BaseModel is { } reference ? members.ToList().FindIndex(member => member.Model.Reference.Equals(reference)) : -1;
        var (averaged, zero, ruled, fromBase, fromOwner) = (new List<string>(), new List<string>(), new List<string>(), 0, 0);
        for (var row = 0; row < vocabulary.Rows; row++)
        {
            if (_tokens[row] is not { } token)
                continue;
            if (vocabulary.IsRuled(row))
                ruled.Add(token);
            else if (own.Exists(rows => rows[row] < 0))
                Count(vocabulary.Default(row, own, baseIndex), token);
        }

        var added = Enumerable.Range(0, vocabulary.Rows).Where(row => _tokens[row] is not null && own[0][row] < 0).Select(row => _tokens[row]!).ToList();
        vocabulary.Report = new VocabularyReport(source == "union" ? source : $"the tokenizer of '{source}'", vocabulary.Draft.Ids.Count, vocabulary.Rows,
            [.. members.Select((member, i) => Describe(member, own[i]))], added, averaged, fromBase, fromOwner, zero, ruled);
        if (zero.Count > 0)
            problems.Add(Problem.Warning($"no model has a row for {zero.Count} tokens of the result (first: '{zero[0]}'): they get zeros; a rule under 'tokens' can give them another token's row", spec.Location));
        CheckRoles();

        void Count(RowSource row, string token)
        {
            if (row == RowSource.Zero)
                zero.Add(token);
            else if (row == RowSource.MeanOfOwners)
                averaged.Add(token);
            else if (row.Matrix == baseIndex)
                fromBase++;
            else
                fromOwner++;
        }
    }

    private static string?[] Names(VocabularyPlan vocabulary)
    {
        var names = new string?[vocabulary.Rows];
        foreach (var (token, id) in vocabulary.Draft.Ids)
            names[id] = token;
        return names;
    }

    private static ModelTokens Describe(ModelVocabulary member, int[] own)
    {
        var (kept, moved) = (0, 0);
        for (var row = 0; row < own.Length; row++)
            _ = own[row] < 0 ? 0 : own[row] == row ? kept++ : moved++;
        var tokens = member.Tokenizer.Vocabulary.Count(pair => pair.Value < member.Limit);
        return new ModelTokens(member.Model.ToString(), tokens, kept, moved, tokens - kept - moved, own.Count(row => row < 0));
    }

    /// <summary>Models that begin, end or pad texts with other tokens than the result expect what it never gives them.</summary>
    private void CheckRoles()
    {
        var mine = vocabulary.Draft.Source.Roles;
        foreach (var member in members.DistinctBy(member => member.Tokenizer))
        {
            var theirs = member.Tokenizer.Roles;
            foreach (var (role, own, other) in new[] { ("bos_token", mine.Bos, theirs.Bos), ("eos_token", mine.Eos, theirs.Eos), ("pad_token", mine.Pad, theirs.Pad), ("unk_token", mine.Unknown, theirs.Unknown) })
                if (own != other && other is not null)
                    problems.Add(Problem.Warning($"'{member.Model}' has '{other}' as its {role}, the result {(own is null ? "none" : $"'{own}'")}", member.Model.Reference.Location));
        }
    }
}
