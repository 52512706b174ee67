using System.Globalization;
using System.Text.Json.Nodes;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Evaluation;
using MergeKit.Core.Evaluation.Data;
using MergeKit.Core.Tokenization;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Checking;

/// <summary>How a merge is checked.</summary>
public sealed record CheckOptions
{
    /// <summary>What the models are run on; empty: the bundled text.</summary>
    public IReadOnlyList<DataSet> Data { get; init; } = [];

    /// <summary>How much worse than the worst parent the result may be, as a share of that parent's bits per byte (or, for accuracies, as a difference).</summary>
    public double Margin { get; init; } = 0.05;

    /// <summary>Worker threads.</summary>
    public int Threads { get; init; } = Environment.ProcessorCount;

    /// <summary>Where the models run.</summary>
    public DeviceChoice Device { get; init; }

    /// <summary>Only the first items of each data set; null: all.</summary>
    public int? Limit { get; init; }
}

/// <summary>What a check found.</summary>
/// <param name="Passed">No fault, and not worse than the worst parent by more than the margin.</param>
/// <param name="Problems">Faults (errors) and remarks.</param>
/// <param name="Result">The figures; null where the model could not be run.</param>
public sealed record CheckReport(bool Passed, IReadOnlyList<Problem> Problems, EvaluationResult? Result);

/// <summary>Runs a finished merge and its parents on the same text, and looks for what makes a model talk garbage: numbers that are not
/// finite, a tokenizer that does not return the text, end tokens that disagree, a likelihood worse than every parent's.</summary>
public static class MergeCheck
{
    private static readonly string[] SettingsFiles = ["config.json", "generation_config.json"];
    private static readonly string[] RoleKeys = ["bos_token_id", "eos_token_id", "pad_token_id"];

    /// <summary>Checks a model folder against its parents.</summary>
    /// <param name="folder">The merged model.</param>
    /// <param name="name">What to call it.</param>
    /// <param name="parents">Names and folders of the models it was made of.</param>
    /// <param name="options">Data and margin.</param>
    /// <param name="cancellation">Stops the check.</param>
    public static CheckReport Run(
        string folder, string name, IReadOnlyList<(string Name, string Folder)> parents, CheckOptions options, CancellationToken cancellation)
    {
        var problems = new List<Problem>();
        var opened = new List<ModelFolder>();
        try
        {
            var merged = ModelFolder.Open(folder, name, options.Threads, options.Device);
            opened.Add(merged);
            problems.AddRange(merged.Warnings);
            problems.AddRange(CheckEndTokens(folder, merged));
            foreach (var (parent, path) in parents)
                if (TryOpen(parent, path, options, problems) is { } model)
                    opened.Add(model);
            var data = options.Data.Count > 0 ? options.Data : [CheckText.DataSet];
            CheckRoundTrip(data, merged.Tokenizer, name, problems);
            var result = Evaluator.Run([.. opened.Select(model => model.ForEvaluation())], data, new EvaluationOptions { Limit = options.Limit }, cancellation);
            CheckScores(result, name, options.Margin, problems);
            return new CheckReport(problems.TrueForAll(problem => problem.Severity != Severity.Error), problems, result);
        }
        catch (InputException e)
        {
            problems.AddRange(e.Problems);
            return new CheckReport(false, problems, null);
        }
        finally
        {
            opened.ForEach(model => model.Dispose());
        }
    }

    private static ModelFolder? TryOpen(string name, string folder, CheckOptions options, List<Problem> problems)
    {
        try
        {
            return ModelFolder.Open(folder, name, options.Threads, options.Device);
        }
        catch (InputException e)
        {
            problems.AddRange(e.Problems.Select(problem => Problem.Warning($"parent '{name}' cannot be run and is not compared: {problem.Message}")));
            return null;
        }
    }

    private static void CheckRoundTrip(IReadOnlyList<DataSet> data, Tokenizer tokenizer, string name, List<Problem> problems)
    {
        foreach (var text in data.OfType<TextDataSet>().SelectMany(set => set.Documents).Take(8).Select(text => text[..Math.Min(text.Length, 4000)]))
        {
            var back = tokenizer.Decode(tokenizer.Encode(text, addSpecialTokens: false));
            if (back.Trim() == text.Trim())
                continue;
            problems.Add(Problem.Warning($"the tokenizer of '{name}' does not return the text it encodes (it may fold case or spaces on purpose)"));
            return;
        }
    }

    /// <summary>Ids of config.json and generation_config.json must have rows in the model, and the two had better agree.</summary>
    private static IEnumerable<Problem> CheckEndTokens(string folder, ModelFolder model)
    {
        var seen = new List<(string File, string Key, string Text)>();
        foreach (var file in SettingsFiles.Where(file => File.Exists(Path.Combine(folder, file))))
        {
            var json = ModelConfig.Parse(file, File.ReadAllText(Path.Combine(folder, file))).Json;
            foreach (var key in RoleKeys)
            {
                foreach (var id in Ids(json[key]).Where(id => id < 0 || id >= model.Model.VocabularySize))
                    yield return Problem.Warning($"{file}: '{key}' is {id}, outside the vocabulary of {model.Model.VocabularySize}");
                if (json[key] is { } value)
                    seen.Add((file, key, value.ToJsonString()));
            }
        }

        foreach (var group in seen.GroupBy(one => one.Key).Where(group => group.Select(one => one.Text).Distinct().Count() > 1))
            yield return Problem.Warning($"'{group.Key}' differs: {string.Join(", ", group.Select(one => $"{one.File} says {one.Text}"))}");
        if (EndTokens.Of(folder, model.Tokenizer).Count == 0)
            yield return Problem.Warning("no end-of-sequence token is known: generation will not stop by itself");
    }

    private static IEnumerable<int> Ids(JsonNode? node) => node switch
    {
        JsonArray list => list.SelectMany(Ids),
        JsonValue value when value.TryGetValue<int>(out var id) => [id],
        _ => [],
    };

    private static void CheckScores(EvaluationResult result, string name, double margin, List<Problem> problems)
    {
        foreach (var data in result.DataSets)
        {
            var own = Primary(result[name, data]);
            if (!double.IsFinite(own.Value))
            {
                problems.Add(Problem.Error($"'{name}' gives {own.Metric} {own.Value} on {data}: its numbers are not finite"));
                continue;
            }

            var parents = result.Models.Where(model => model != name).Select(model => (model, score: Primary(result[model, data]).Value)).Where(pair => double.IsFinite(pair.score)).ToList();
            if (parents.Count == 0)
                continue;
            var worst = own.HigherIsBetter ? parents.MinBy(pair => pair.score) : parents.MaxBy(pair => pair.score);
            var limit = own.HigherIsBetter ? worst.score - margin : worst.score * (1 + margin);
            if (own.HigherIsBetter ? own.Value < limit : own.Value > limit)
                problems.Add(Problem.Error(string.Create(CultureInfo.InvariantCulture,
                    $"'{name}' is worse than its worst parent on {data}: {own.Metric} {own.Value:F4}, '{worst.model}' has {worst.score:F4}; more than {limit:F4} was not expected (margin {margin:P0})")));
        }
    }

    private static Measurement Primary(DataSetResult result) => result.Measurements[0];
}
