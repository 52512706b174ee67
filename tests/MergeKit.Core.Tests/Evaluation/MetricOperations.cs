using System.Text.Json.Nodes;
using MergeKit.Core.Evaluation;
using MergeKit.Core.Evaluation.Metrics;
using MergeKit.Core.Evaluation.Requests;
using MergeKit.Core.Models;
using MergeKit.Core.Templating;

namespace MergeKit.Core.Tests.Evaluation;

/// <summary>Requests, prompts and metrics.</summary>
internal sealed class MetricOperations : IGoldenOperations
{
    public IEnumerable<GoldenOperation> Operations =>
    [
        new("metrics.rolling", Rolling),
        new("metrics.rolling_windows", input => new
        {
            windows = RollingWindows.Of((int)input["length"]!, (int)input["max_length"]!, (int)input["context_length"]!)
                .Select(window => new { context = window.Context, continuation = window.Continuation }),
        }),
        new("metrics.multiple_choice", MultipleChoice),
        new("metrics.filters", Filters),
        new("requests.loglikelihood", Loglikelihood),
        new("prompt.assemble", Prompt),
        new("template.render", input => new
        {
            rendered = input["templates"].Texts().Select(template => Template.Parse(template, TemplateOptions.Prompt)
                .Render(input["doc"]!.AsObject().Select(pair => KeyValuePair.Create(pair.Key, (object?)pair.Value)))),
        }),
    ];

    private static object Rolling(JsonObject input)
    {
        var documents = input["documents"]!.AsArray()
            .Select(document => RollingDocument.Of((string)document!["text"]!, document["token_logprobs"].Numbers())).ToArray();
        var metrics = RollingMetrics.Of(documents);
        return new
        {
            docs = documents.Select(document => new { loglikelihood = document.LogLikelihood, bytes = document.Bytes, words = document.Words }),
            word_perplexity = metrics.WordPerplexity,
            byte_perplexity = metrics.BytePerplexity,
            bits_per_byte = metrics.BitsPerByte,
            token_perplexity = metrics.TokenPerplexity,
        };
    }

    private static object MultipleChoice(JsonObject input)
    {
        var choices = input["choices"].Texts();
        int Index(JsonNode? gold) => gold!.GetValueKind() == System.Text.Json.JsonValueKind.String ? Array.IndexOf(choices, (string)gold!) : (int)gold;
        int[] gold = input["gold"] is JsonArray several ? several.Select(Index).ToArray() : [Index(input["gold"])];
        var score = MultipleChoiceScore.Of(
            input["loglikelihoods"].Numbers(), choices, gold, input.ContainsKey("unconditional") ? input["unconditional"].Numbers() : null);
        return new
        {
            pred = score.Prediction,
            pred_norm = score.PredictionNorm,
            pred_bytes = score.PredictionBytes,
            pred_mutual_info = score.PredictionMutualInfo,
            acc = score.Accuracy,
            acc_norm = score.AccuracyNorm,
            acc_bytes = score.AccuracyBytes,
            acc_mutual_info = score.AccuracyMutualInfo,
            prob = score.Probabilities,
            brier = score.Brier,
        };
    }

    private static object Filters(JsonObject input)
    {
        var responses = input["responses"]!.AsArray().Select(item => item.Texts()).ToArray();
        var references = input["references"].Texts();
        var match = input["exact_match"] as JsonObject ?? [];
        var options = new ExactMatchOptions
        {
            RegexesToIgnore = match.ContainsKey("regexes_to_ignore") ? match["regexes_to_ignore"].Texts() : [],
            IgnoreCase = (bool?)match["ignore_case"] ?? false,
            IgnorePunctuation = (bool?)match["ignore_punctuation"] ?? false,
            IgnoreDigits = (bool?)match["ignore_numbers"] ?? (bool?)match["ignore_digits"] ?? false,
        };
        var result = new JsonObject();
        foreach (var pipeline in input["pipelines"]!.AsArray())
        {
            var steps = pipeline!["filter"]!.AsArray();
            var filtered = responses.Select(item => steps.Aggregate((IReadOnlyList<string>)item, (texts, step) => Filter(step!).Apply(texts))).ToArray();
            var scalar = steps.Any(step => (string)step!["function"]! == "take_first");
            result[(string)pipeline["name"]!] = new JsonObject
            {
                ["filtered"] = new JsonArray(filtered.Select(texts => scalar ? texts[0] : (JsonNode)new JsonArray(texts.Select(text => (JsonNode)text).ToArray())).ToArray()),
                ["exact_match"] = new JsonArray(filtered.Zip(references, (texts, reference) => (JsonNode)ExactMatch.Score(texts[0], reference, options)).ToArray()),
            };
        }

        return result;
    }

    private static ResponseFilter Filter(JsonNode step) => (string)step["function"]! switch
    {
        "regex" => ResponseFilter.Regex((string)step["regex_pattern"]!, (int?)step["group_select"] ?? 0, (string?)step["fallback"] ?? "[invalid]"),
        "take_first" => ResponseFilter.TakeFirst,
        "take_first_k" => ResponseFilter.TakeFirstK((int)step["k"]!),
        "majority_vote" => ResponseFilter.MajorityVote,
        "remove_whitespace" => ResponseFilter.RemoveWhitespace,
        "lowercase" => ResponseFilter.Lowercase,
        "uppercase" => ResponseFilter.Uppercase,
        "map" => ResponseFilter.Map(
            step["mapping_dict"]!.AsObject().ToDictionary(pair => pair.Key, pair => (string)pair.Value!), (string?)step["default_value"] ?? ""),
        var other => throw new InvalidOperationException($"not built yet: the filter {other}"),
    };

    private static object Loglikelihood(JsonObject input)
    {
        var encoder = new LongestMatchEncoder(input["vocab"].Texts(), (bool)input["add_bos"]!);
        return new
        {
            requests = input["requests"]!.AsArray().Select(request =>
            {
                try
                {
                    var encoded = LoglikelihoodRequest.Encode(
                        encoder, (string)request!["context"]!, (string)request["continuation"]!, (int)input["max_length"]!, (int)input["prefix_token"]!);
                    return (object)new
                    {
                        context_tokens = encoded.ContextTokens,
                        continuation_tokens = encoded.ContinuationTokens,
                        input = encoded.Input,
                        first_scored_position = encoded.FirstScoredPosition,
                    };
                }
                catch (EvaluationException failure) when (failure.Error == EvaluationError.EmptyContinuation)
                {
                    return new { error = "empty_continuation" };
                }
            }),
        };
    }

    private static object Prompt(JsonObject input)
    {
        var assembly = new PromptAssembly
        {
            Description = (string?)input["description"] ?? "",
            TargetDelimiter = (string)input["target_delimiter"]!,
            FewshotDelimiter = (string)input["fewshot_delimiter"]!,
            GenerationPrefix = (string?)input["gen_prefix"],
        };
        return new
        {
            context = assembly.Context(input["shots"]!.AsArray().Select(shot => new PromptShot((string)shot![0]!, (string)shot[1]!)), (string)input["text"]!),
            continuations = input["choices"].Texts().Select(assembly.Continuation),
        };
    }

    /// <summary>The suite's toy tokenizer: greedy longest match.</summary>
    private sealed class LongestMatchEncoder(string[] vocabulary, bool addBos) : ITextEncoder
    {
        public int? BosId => null;

        public int? EosId => null;

        public int[] Encode(string text, bool addSpecialTokens)
        {
            var ids = new List<int>();
            if (addSpecialTokens && addBos)
                ids.Add(0);
            for (var at = 0; at < text.Length;)
            {
                var best = vocabulary.Index()
                    .Where(token => token.Item.Length > 0 && string.CompareOrdinal(text, at, token.Item, 0, token.Item.Length) == 0)
                    .MaxBy(token => token.Item.Length);
                ids.Add(best.Index);
                at += best.Item.Length;
            }

            return [.. ids];
        }

        public string Decode(ReadOnlySpan<int> ids) => string.Concat(ids.ToArray().Select(id => vocabulary[id]));
    }
}
