using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Recipes;
using MergeKit.Core.Tokenization;
using MergeKit.Core.Tokenization.Vocabularies;

namespace MergeKit.Core.Merging.Planning.Vocabulary;

/// <summary>Carries out <c>tokenizer:</c> on paper: the result's tokens, their numbers, and the rows that each model has for them.</summary>
internal sealed class VocabularyPlanner(MergePlan plan, TokenizerSpec spec, string? sourceFolder, List<Problem> problems)
{
    private const double FewTokens = 0.5;
    private readonly LoadedModel _template = plan.Template!;

    /// <summary>The plan, or null with errors among the problems.</summary>
    public VocabularyPlan? Plan()
    {
        var before = problems.Count(problem => problem.Severity == Severity.Error);
        var loaded = plan.Models.Prepend(_template).Distinct().ToList();
        var tokenizers = TokenizerLoader.Load([.. loaded.Concat(plan.Lenders).Select(model => model.Folder), .. sourceFolder is null ? [] : new[] { sourceFolder }], problems);
        if (problems.Count(problem => problem.Severity == Severity.Error) > before || !tokenizers.ContainsKey(_template.Folder))
            return Missing(_template.Folder, tokenizers, before);
        var models = loaded.Concat(plan.Lenders).Select(model => Vocabulary(model, tokenizers)).ToList();
        var members = models.Take(loaded.Count).ToList();
        if (spec.Kind == TokenizerSourceKind.Model && (sourceFolder is null || !tokenizers.ContainsKey(sourceFolder)))
            return sourceFolder is null ? null : Missing(sourceFolder, tokenizers, before);
        var draft = Draft(members, tokenizers);
        CheckSpelling(draft, models);
        var rules = new TokenRules(draft, models.DistinctBy(model => model.Model.Reference).ToDictionary(model => model.Model.Reference), problems);
        rules.Read(spec.Tokens);
        if (problems.Count(problem => problem.Severity == Severity.Error) > before)
            return null;
        var folder = spec.Kind == TokenizerSourceKind.Model ? sourceFolder! : _template.Folder;
        var config = folder == _template.Folder ? _template.Config : ConfigOf(folder);
        var vocabulary = new VocabularyPlan(draft, folder, config, Padded(draft.Ids.Values.DefaultIfEmpty(-1).Max() + 1), members, rules.Rows, rules.Forced);
        new VocabularySummary(plan, vocabulary, members, problems).Write(Words(), spec);
        return vocabulary;
    }

    private VocabularyPlan? Missing(string folder, Dictionary<string, Tokenizer> tokenizers, int before)
    {
        if (!tokenizers.ContainsKey(folder) && problems.Count(problem => problem.Severity == Severity.Error) == before)
            problems.Add(Problem.Error($"{folder}: has no tokenizer.json, so its vocabulary cannot be brought together with others"
                + (File.Exists(Path.Combine(folder, "tokenizer.model")) ? " (the SentencePiece file tokenizer.model is not read: convert it to a tokenizer.json)" : ""), spec.Location));
        return null;
    }

    /// <summary>A model without a tokenizer of its own is taken to have the base's, as mergekit does.</summary>
    private ModelVocabulary Vocabulary(LoadedModel model, Dictionary<string, Tokenizer> tokenizers)
    {
        var limit = ModelVocabulary.LimitOf(model);
        if (!tokenizers.TryGetValue(model.Folder, out var tokenizer))
        {
            tokenizer = tokenizers[_template.Folder];
            problems.Add(Problem.Warning($"model '{model}' has no tokenizer.json: its tokens are taken to be numbered as those of '{_template}'", model.Reference.Location));
        }

        var beyond = tokenizer.Vocabulary.Where(pair => pair.Value >= limit).OrderBy(pair => pair.Value).Select(pair => pair.Key).ToList();
        if (beyond.Count > 0)
            problems.Add(Problem.Warning($"the tokenizer of '{model}' has {beyond.Count} tokens without a row among the model's {limit} (first: '{beyond[0]}'): they do not count as the model's", model.Reference.Location));
        return new ModelVocabulary(model, tokenizer, limit);
    }

    private TokenizerDraft Draft(IReadOnlyList<ModelVocabulary> members, Dictionary<string, Tokenizer> tokenizers)
    {
        if (spec.Kind == TokenizerSourceKind.Union)
            return VocabularyUnion.Unite([.. members.Select(member => new UnionMember(member.Model.ToString(), member.Tokenizer, member.Limit))], problems);
        if (spec.Kind == TokenizerSourceKind.Base)
            return new TokenizerDraft(members[0].Tokenizer, members[0].Limit);
        var limit = members.FirstOrDefault(member => member.Model.Folder == sourceFolder)?.Limit
            ?? (ConfigOf(sourceFolder!) is { } config ? (int)Math.Min(int.MaxValue, ModelVocabulary.VocabularySize(config)) : int.MaxValue);
        return new TokenizerDraft(tokenizers[sourceFolder!], limit);
    }

    /// <summary>Equal strings must mean equal text, or rows of unrelated tokens would be taken for one another.</summary>
    private void CheckSpelling(TokenizerDraft draft, List<ModelVocabulary> models)
    {
        if (spec.Kind == TokenizerSourceKind.Union)
            return;
        foreach (var model in models)
        {
            if (draft.Source.Kind.Spelling(model.Tokenizer.Kind) is { } conflict)
                problems.Add(Problem.Error($"the tokenizers of '{Words()}' and '{model.Model}' have nothing in common: {conflict}. "
                    + $"Give '{model.Model}' the other tokenizer first (mergekit transplant-tokenizer)", model.Model.Reference.Location));
            else if (draft.Ids.Keys.Count(token => model.RowOf(token) >= 0) is var shared && shared < FewTokens * draft.Ids.Count)
                problems.Add(Problem.Warning($"'{model.Model}' has only {shared:N0} of the result's {draft.Ids.Count:N0} tokens: the others' rows come from other models", model.Model.Reference.Location));
        }
    }

    private int Padded(int rows) => spec.PadToMultipleOf is { } multiple ? checked((rows + multiple - 1) / multiple * multiple) : rows;

    private string Words() => spec.Kind switch
    {
        TokenizerSourceKind.Union => "union",
        TokenizerSourceKind.Base => _template.ToString(),
        _ => spec.Model!.ToString(),
    };

    private static ModelConfig? ConfigOf(string folder) => File.Exists(Path.Combine(folder, "config.json")) ? ModelConfig.Read(folder) : null;
}
