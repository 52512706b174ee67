using System.Text.Json;
using System.Text.RegularExpressions;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Evaluation;
using MergeKit.Core.Evaluation.Metrics;
using MergeKit.Core.Evaluation.Requests;
using MergeKit.Core.Recipes;
using MergeKit.Core.Templating;

namespace MergeKit.Inference.Workflows;

/// <summary>What an item had at the end of a round.</summary>
/// <param name="Item">Counted from 0.</param>
/// <param name="Round">Counted from 1.</param>
/// <param name="Texts">What each stage wrote, by its name.</param>
/// <param name="Text">The last stage's text.</param>
/// <param name="Correct">Whether it is the right answer; null where there is none.</param>
/// <param name="Done">Why the item went no further: pattern, unchanged, rounds; null: it did.</param>
public sealed record RoundResult(int Item, int Round, IReadOnlyDictionary<string, string> Texts, string Text, bool? Correct, string? Done);

/// <summary>The items after a round; those that were done before keep their text.</summary>
/// <param name="Round">Counted from 1.</param>
/// <param name="Accuracy">Share of right answers; null where there are none.</param>
/// <param name="Active">Items that were still going.</param>
public sealed record RoundScore(int Round, double? Accuracy, int Active);

/// <summary>Runs stages over items: each stage's prompt is rendered over the item and the texts before it.</summary>
public sealed class StagesRun
{
    private static readonly TimeSpan PatternTime = TimeSpan.FromSeconds(1);
    private readonly StagesRecipe _recipe;
    private readonly Func<ModelReference, EvaluatedModel> _models;
    private readonly Template[] _prompts;
    private readonly Template?[] _judgePrompts;
    private readonly Template? _answer;

    /// <summary>Prepares the stages.</summary>
    /// <param name="recipe">The stages.</param>
    /// <param name="models">The opened models.</param>
    /// <exception cref="InputException">A template cannot be read; all that cannot are named.</exception>
    public StagesRun(StagesRecipe recipe, Func<ModelReference, EvaluatedModel> models)
    {
        var problems = new List<Problem>();
        (_recipe, _models) = (recipe, models);
        _prompts = [.. recipe.Stages.Select(stage => Parse(stage.Prompt, $"'prompt' of stage {stage.Name}", stage.Location, problems)!)];
        _judgePrompts = [.. recipe.Stages.Select(stage => Parse(stage.JudgePrompt, $"'judge_prompt' of stage {stage.Name}", stage.Location, problems))];
        _answer = Parse(recipe.Answer, "'answer'", recipe.Location, problems);
        if (problems.Count > 0)
            throw new InputException(problems);
    }

    /// <summary>Runs every item through its rounds.</summary>
    public IReadOnlyList<RoundResult> Run(IReadOnlyList<JsonElement> items, CancellationToken cancellation = default)
    {
        var results = new List<RoundResult>();
        foreach (var (index, item) in items.Take(_recipe.Limit ?? int.MaxValue).Index())
        {
            var before = "";
            for (var round = 1; round <= _recipe.Rounds; round++)
            {
                var result = One(item, index, round, before, cancellation);
                results.Add(result);
                if (result.Done is not null)
                    break;
                before = result.Text;
            }
        }

        return results;
    }

    /// <summary>The accuracy after each round.</summary>
    public IReadOnlyList<RoundScore> Scores(IReadOnlyList<RoundResult> results)
    {
        var items = results.GroupBy(result => result.Item).Select(group => group.ToArray()).ToArray();
        return [.. Enumerable.Range(1, _recipe.Rounds).Select(round => new RoundScore(
            round,
            _answer is null ? null : items.Average(rounds => rounds.Last(result => result.Round <= round).Correct == true ? 1.0 : 0.0),
            items.Count(rounds => rounds.Length >= round)))];
    }

    private RoundResult One(JsonElement item, int index, int round, string before, CancellationToken cancellation)
    {
        var variables = new Dictionary<string, object?> { ["x"] = item, ["y"] = before, ["round"] = round };
        var texts = new Dictionary<string, string>();
        var text = "";
        foreach (var (place, stage) in _recipe.Stages.Index())
        {
            var prompt = Render(_prompts[place], variables, index);
            var judgePrompt = _judgePrompts[place] is { } template ? Render(template, variables, index) : prompt;
            text = Write(stage, prompt, judgePrompt, ((ulong)_recipe.Seed << 32) + (ulong)(((index * _recipe.Rounds) + round) * _recipe.Stages.Count) + (ulong)place, cancellation);
            variables[$"y{place + 1}"] = variables[stage.Name] = texts[stage.Name] = text;
        }

        bool? correct = _answer is null ? null : text.Trim() == Render(_answer, variables, index).Trim();
        return new RoundResult(index, round, texts, text, correct, Done(text, before, round));
    }

    private string? Done(string text, string before, int round)
    {
        if (_recipe.StopPattern is { } pattern && Regex.IsMatch(text, pattern, RegexOptions.None, PatternTime))
            return "pattern";
        return _recipe.StopUnchanged && round > 1 && text == before ? "unchanged" : round == _recipe.Rounds ? "rounds" : null;
    }

    private string Write(Stage stage, string prompt, string judgePrompt, ulong seed, CancellationToken cancellation)
    {
        string[] texts = [.. Enumerable.Range(0, stage.Samples).Select(sample => TextWriting.Write(
            _models(stage.Model), prompt, new WritingOptions(stage.MaxNewTokens, stage.Stop, stage.Temperature, (seed * 1_000_003) + (ulong)sample), cancellation).Text)];
        return stage.Choose switch
        {
            "majority" => ResponseFilter.MajorityVote.Apply([.. texts.Select(text => text.Trim())])[0],
            "best" => Best(_models(stage.Judge!), judgePrompt, texts),
            _ => texts[0],
        };
    }

    /// <summary>The text with the largest mean log-probability under the judge; an empty one loses to any other, the first wins ties.</summary>
    private static string Best(EvaluatedModel judge, string prompt, string[] texts)
    {
        string[] candidates = [.. texts.Where(text => text.Length > 0).Distinct()];
        if (candidates.Length == 0)
            return "";
        try
        {
            var scores = judge.Model.LogProbs([.. candidates.Select(text =>
                LoglikelihoodRequest.Encode(new BosEncoder(judge.Encoder), prompt, text, judge.Model.MaxLength - 1).ToScoreRequest())]);
            return candidates[Enumerable.Range(0, candidates.Length).MaxBy(i => scores[i].Average())];
        }
        catch (EvaluationException failure)
        {
            throw new InputException($"'judge' {judge.Name}: {failure.Message}", failure);
        }
    }

    private string Render(Template template, IReadOnlyDictionary<string, object?> variables, int item)
    {
        try
        {
            return template.Render(variables);
        }
        catch (TemplateException failure)
        {
            throw new InputException([Problem.Error($"item {item + 1}: {failure.Message}", _recipe.Location)]);
        }
    }

    private static Template? Parse(string? text, string name, SourceLocation location, List<Problem> problems)
    {
        try
        {
            return text is null ? null : Template.Parse(text, TemplateOptions.Prompt with { Name = name });
        }
        catch (TemplateException failure)
        {
            problems.Add(Problem.Error(failure.Message, location));
            return null;
        }
    }
}
