using System.CommandLine;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using MergeKit.Cli.Display;
using MergeKit.Core.Checkpoints.Writing;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Evaluation.Data;
using MergeKit.Core.Evaluation.Statistics;
using MergeKit.Core.Recipes;
using MergeKit.Inference.Workflows;

namespace MergeKit.Cli.Commands;

/// <summary><c>mergekit stages FILE</c>: models write one after the other, in rounds; votes and best-of-n.</summary>
internal static class StagesCommand
{
    private static readonly Argument<string> FileName = new("FILE") { Description = "A YAML document with 'stages'." };

    private static readonly Option<string> Log = new("--log")
    { Description = "Write every round of every item to this JSONL file.", HelpName = "FILE" };

    private static readonly JsonSerializerOptions Plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static Command Create()
    {
        var command = new Command("stages", "Let models write in stages and rounds, each from a template over the item and the texts before; vote, or take the best of several.")
        {
            FileName, Log, CommonOptions.Threads, CommonOptions.Json,
        };
        command.SetAction(Execute);
        return command;
    }

    private static int Execute(ParseResult parsed)
    {
        var (output, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
        var (recipe, scope) = DocumentOf.Kind<StagesRecipe>(parsed, FileName, "stages");
        var data = ItemReader.Read(DocumentOf.PathIn(recipe, recipe.Data, parsed));
        var test = recipe.Test is null ? null : ItemReader.Read(DocumentOf.PathIn(recipe, recipe.Test, parsed));
        using var interrupt = new Interrupt();
        using var models = ModelSet.Open(recipe.AllModels(), scope, parsed, error, interrupt.Token);
        var run = new StagesRun(recipe, models.ForEvaluation);
        var results = run.Run(data, interrupt.Token);
        var scores = run.Scores(results);
        var best = scores.MaxBy(score => score.Accuracy ?? score.Round)!.Round;
        var held = test is null ? null : run.Run(test, interrupt.Token);
        if (parsed.GetValue(Log) is { } path)
            OutputFolder.WriteFile(CommonOptions.Resolve(parsed, path), string.Concat(Lines("data", results).Concat(held is null ? [] : Lines("test", held))));
        var final = held is null ? null : run.Scores(held)[best - 1];
        if (parsed.GetValue(CommonOptions.Json))
            output.WriteLine(Json(scores, best, final, data.Count, test?.Count).ToJsonString(new JsonSerializerOptions { WriteIndented = true }));
        else
            Print(recipe, results, scores, best, final, held, output);
        return ExitCodes.Done;
    }

    private static void Print(
        StagesRecipe recipe, IReadOnlyList<RoundResult> results, IReadOnlyList<RoundScore> scores, int best, RoundScore? final, IReadOnlyList<RoundResult>? held, TextWriter output)
    {
        if (recipe.Answer is null)
        {
            foreach (var last in results.GroupBy(result => result.Item).Select(group => group.Last()))
                output.WriteLine($"{last.Item + 1}: {ProblemPrinter.OneLine(last.Text)}");
            return;
        }

        var table = new TextTable("#round", "#items going", "#accuracy", "");
        foreach (var score in scores)
            table.Add($"{score.Round}", $"{score.Active}", Figure.Text(score.Accuracy!.Value), score.Round == best ? "best" : "");
        table.Write(output);
        if (final is null)
            return;
        var items = held!.Select(result => result.Item).Distinct().Count();
        var interval = Descriptive.Wilson(final.Accuracy!.Value, items);
        output.WriteLine($"on {recipe.Test} ({items} items) at round {best}: accuracy {Figure.Text(final.Accuracy.Value)} [{Figure.Text(interval.Low)}, {Figure.Text(interval.High)}]");
    }

    private static IEnumerable<string> Lines(string set, IReadOnlyList<RoundResult> results) => results.Select(result => new JsonObject
    {
        ["set"] = set,
        ["item"] = result.Item,
        ["round"] = result.Round,
        ["texts"] = new JsonObject(result.Texts.Select(pair => KeyValuePair.Create(pair.Key, (JsonNode?)pair.Value))),
        ["correct"] = result.Correct,
        ["done"] = result.Done,
    }.ToJsonString(Plain) + "\n");

    private static JsonObject Json(IReadOnlyList<RoundScore> scores, int best, RoundScore? final, int items, int? testItems) => new()
    {
        ["items"] = items,
        ["rounds"] = new JsonArray([.. scores.Select(score => new JsonObject { ["round"] = score.Round, ["active"] = score.Active, ["accuracy"] = score.Accuracy })]),
        ["best_round"] = best,
        ["test"] = final is null ? null : new JsonObject { ["items"] = testItems, ["accuracy"] = final.Accuracy },
    };
}
