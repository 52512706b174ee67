using System.Text.Json;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Evaluation;
using MergeKit.Core.Evaluation.Data;
using MergeKit.Core.Evaluation.Requests;
using MergeKit.Core.Models;
using MergeKit.Core.Templating;

namespace MergeKit.Core.Workflows.Learning;

/// <summary>Where examples come from.</summary>
/// <param name="Path">A JSONL file, or a plain text.</param>
/// <param name="Prompt">Template of the prompt; null: the file's own kind says what is prompt and what is answer.</param>
/// <param name="Target">Template of the answer.</param>
/// <param name="Count">The most examples, from the start.</param>
public sealed record ExampleSource(string Path, string? Prompt = null, string? Target = null, int Count = 100);

/// <summary>Reads examples and encodes them. Without templates: of exact-match items the answer, of multiple choice the (first) right choice, of documents all,
/// of a plain text its windows, one example each.</summary>
public static class AnswerReader
{
    /// <summary>Reads prompts and answers as text. Errors: <see cref="InputException"/> with every line that is wrong, and the template at fault.</summary>
    public static IReadOnlyList<(string Prompt, string Target)> ReadTexts(ExampleSource source) =>
        source.Prompt is not null ? [.. Rendered(source)] : DataSetReader.Read(source.Path) switch
        {
            ChoiceDataSet choices => [.. choices.Items.Take(source.Count).Select(item => (item.Context, item.Delimiter + item.Choices[item.Gold[0]]))],
            ExactDataSet exact => [.. exact.Items.Take(source.Count).Select(item => (item.Prompt, item.Answer))],
            TextDataSet text => [.. text.Documents.Take(source.Count).Select(document => ("", document))],
            var other => throw new InputException($"{source.Path}: {other.GetType().Name} has no answers to learn from"),
        };

    /// <summary>Reads and encodes. Errors: as above, and answers without a token.</summary>
    /// <param name="source">The examples.</param>
    /// <param name="encoder">The members' tokenizer.</param>
    /// <param name="maxLength">The tokens that every member can hold.</param>
    public static AnswerSet Read(ExampleSource source, ITextEncoder encoder, int maxLength)
    {
        var texts = ReadTexts(source);
        if (texts.Count == 0)
            throw new InputException($"{source.Path}: no examples to learn from");
        if (source.Prompt is null && texts is [("", var whole)] && !IsJsonLines(source.Path))
            return Windows(whole, source, encoder, maxLength);
        var (requests, examples, problems) = (new List<ScoreRequest>(), new List<int>(), new List<Problem>());
        ITextEncoder withBos = new BosEncoder(encoder);
        foreach (var (index, (prompt, target)) in texts.Index())
        {
            try
            {
                requests.Add(LoglikelihoodRequest.Encode(withBos, prompt, target, maxLength - 1).ToScoreRequest());
                examples.Add(index);
            }
            catch (EvaluationException failure)
            {
                problems.Add(Problem.Error($"{source.Path}: example {index + 1}: {failure.Message}"));
            }
        }

        return problems.Count == 0 ? new AnswerSet(requests, examples) : throw new InputException(problems);
    }

    private static bool IsJsonLines(string path) =>
        path.EndsWith(".jsonl", StringComparison.OrdinalIgnoreCase) || path.EndsWith(".ndjson", StringComparison.OrdinalIgnoreCase);

    private static AnswerSet Windows(string text, ExampleSource source, ITextEncoder encoder, int maxLength)
    {
        var ids = encoder.Encode(text, addSpecialTokens: false);
        var prefix = encoder.BosId ?? encoder.EosId ?? throw new InputException($"{source.Path}: running text needs a tokenizer with a BOS or EOS token to begin with");
        ScoreRequest[] requests = [.. RollingWindows.Of(ids.Length, maxLength - 1).Take(source.Count)
            .Select(window => new ScoreRequest(new[] { prefix }, window.Continuation.Select(index => ids[index]).ToArray()))];
        return new AnswerSet(requests, [.. Enumerable.Range(0, requests.Length)]);
    }

    private static IEnumerable<(string Prompt, string Target)> Rendered(ExampleSource source)
    {
        var (prompt, target) = (Parse(source.Prompt!, "prompt"), Parse(source.Target!, "target"));
        var (problems, texts) = (new List<Problem>(), new List<(string, string)>());
        var lines = JsonLines.Parse(source.Path, JsonLines.ReadBytes(source.Path), problems);
        foreach (var (line, value) in lines.Take(source.Count))
        {
            try
            {
                var fields = value.EnumerateObject().Select(field => KeyValuePair.Create(field.Name, (object?)field.Value)).ToList();
                texts.Add((prompt.Render(fields), target.Render(fields)));
            }
            catch (TemplateException failure)
            {
                problems.Add(Problem.Error($"{source.Path}:{line}: {failure.Message}; the line has {string.Join(", ", value.EnumerateObject().Select(field => field.Name))}"));
                if (problems.Count >= JsonLines.MaxProblems)
                    break;
            }
        }

        return problems.Count == 0 ? texts : throw new InputException(problems);
    }

    private static Template Parse(string text, string key)
    {
        try
        {
            return Template.Parse(text, TemplateOptions.Prompt with { Name = $"'{key}'" });
        }
        catch (TemplateException failure)
        {
            throw new InputException(failure.Message, failure);
        }
    }
}
