using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Nodes;
using MergeKit.Cli.Display;
using MergeKit.Core.Checkpoints.Writing;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Ensembles;
using MergeKit.Core.Evaluation.Data;
using MergeKit.Core.Recipes;
using MergeKit.Core.Reports;
using MergeKit.Inference.Workflows;

namespace MergeKit.Cli.Commands;

/// <summary><c>mergekit cascade FILE</c>: chooses a cascade's threshold on held-out items and prints what accuracy costs.</summary>
internal static class CascadeCommand
{
    private static readonly Argument<string> FileName = new("FILE") { Description = "A YAML document with 'cascade'." };

    private static readonly Option<string> Html = new("--html") { Description = "Also write the accuracy-cost curve as a one-file HTML page.", HelpName = "FILE" };

    public static Command Create()
    {
        var command = new Command("cascade", "Let a small model answer where it is confident, a large one elsewhere: choose the threshold, show what accuracy costs.")
        {
            FileName, Html, CommonOptions.Seed, CommonOptions.Threads, CommonOptions.Json,
        };
        command.SetAction(Execute);
        return command;
    }

    private static int Execute(ParseResult parsed)
    {
        var (output, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
        var (recipe, scope) = DocumentOf.Kind<CascadeRecipe>(parsed, FileName, "cascade");
        var data = Read("data", recipe.Data);
        var test = recipe.Test is null ? null : Read("test", recipe.Test);
        using var interrupt = new Interrupt();
        using var models = ModelSet.Open(recipe.AllModels(), scope, parsed, error, interrupt.Token);
        var report = CascadeRun.Run(recipe, models.ForEvaluation(recipe.Small.Model), models.ForEvaluation(recipe.Large.Model), data, test, parsed.GetValue(CommonOptions.Seed), interrupt.Token);
        if (parsed.GetValue(Html) is { } page)
            OutputFolder.WriteFile(CommonOptions.Resolve(parsed, page), CascadePage.Write(
                $"Cascade: {recipe.Small.Model}, then {recipe.Large.Model}", report.Curve, report.Chosen, [Headline(recipe, data.Name), .. TestLines(recipe, report)]));
        if (parsed.GetValue(CommonOptions.Json))
            output.WriteLine(Json(recipe, report).ToJsonString(new JsonSerializerOptions { WriteIndented = true }));
        else
            Print(recipe, report, data.Name, output);
        return ExitCodes.Done;

        DataSet Read(string key, string path)
        {
            try
            {
                return DataSetReader.Read(DocumentOf.PathIn(recipe, path, parsed));
            }
            catch (InputException e)
            {
                throw new InputException([.. e.Problems.Select(problem => problem with { Message = $"'{key}': {problem.Message}", Location = problem.Location ?? recipe.Location })]);
            }
        }
    }

    private static void Print(CascadeRecipe recipe, CascadeReport report, string data, TextWriter output)
    {
        output.WriteLine(Headline(recipe, data));
        var table = new TextTable("#threshold", "#accuracy", "#cost", "");
        foreach (var point in Shown(report))
            table.Add(Figure.Text(point.Threshold), Figure.Text(point.Accuracy), Figure.Text(point.Cost), point.Threshold == report.Chosen.Threshold ? "chosen" : "");
        table.Write(output);
        if (report.Test is not { } test)
            return;
        output.WriteLine();
        string[] lines = [.. TestLines(recipe, report)];
        output.WriteLine(lines[0]);
        var result = new TextTable("", "#accuracy", "#cost");
        result.Add(recipe.Small.Model.ToString(), Figure.Text(test.Small), Figure.Text(recipe.Small.Cost));
        result.Add(recipe.Large.Model.ToString(), Figure.Text(test.Large), Figure.Text(recipe.Large.Cost));
        result.Add("cascade", $"{Figure.Text(test.Cascade)} {Figure.Range(test.Interval.Low, test.Interval.High)}", Figure.Text(test.Cost));
        result.Write(output);
        output.WriteLine(lines[1]);
    }

    private static string Headline(CascadeRecipe recipe, string data) =>
        $"{recipe.Small.Model} first, {recipe.Large.Model} below the threshold; confidence: {recipe.Confidence}; on {data}";

    private static IEnumerable<string> TestLines(CascadeRecipe recipe, CascadeReport report)
    {
        if (report.Test is not { } test)
            yield break;
        yield return $"on {recipe.Test} ({test.Items} items), threshold {Figure.Text(report.Chosen.Threshold)}: accuracy {Figure.Text(test.Cascade)} at {Figure.Text(test.Cost)} an item";
        yield return $"{Figure.Text(100 * test.Escalated)} % went to the large model; cascade minus large model: {Figure.Text(test.AgainstLarge.Difference)} "
            + $"{Figure.Range(test.AgainstLarge.Interval95.Low, test.AgainstLarge.Interval95.High)}, paired";
    }

    /// <summary>At most some twenty points: the ends, the chosen one, and others at even distances.</summary>
    private static IEnumerable<CascadePoint> Shown(CascadeReport report)
    {
        const int Rows = 20;
        var points = report.Curve.Points;
        var step = Math.Max(1, (points.Count + Rows - 1) / Rows);
        var shown = points.Where((point, i) => i % step == 0 || i == points.Count - 1 || point.Threshold == report.Chosen.Threshold);
        return shown.Append(report.Chosen).DistinctBy(point => point.Threshold).OrderBy(point => point.Threshold);
    }

    private static JsonObject Json(CascadeRecipe recipe, CascadeReport report)
    {
        static JsonObject Point(CascadePoint point) => new() { ["threshold"] = Number(point.Threshold), ["accuracy"] = point.Accuracy, ["cost"] = point.Cost };
        var json = new JsonObject
        {
            ["small"] = recipe.Small.Model.ToString(),
            ["large"] = recipe.Large.Model.ToString(),
            ["confidence"] = recipe.Confidence,
            ["curve"] = new JsonArray([.. report.Curve.Points.Select(Point)]),
            ["chosen"] = Point(report.Chosen),
        };
        if (report.Test is { } test)
            json["test"] = new JsonObject
            {
                ["items"] = test.Items,
                ["small"] = test.Small,
                ["large"] = test.Large,
                ["cascade"] = test.Cascade,
                ["interval"] = new JsonArray(test.Interval.Low, test.Interval.High),
                ["cost"] = test.Cost,
                ["escalated"] = test.Escalated,
                ["difference_to_large"] = test.AgainstLarge.Difference,
                ["difference_interval"] = new JsonArray(test.AgainstLarge.Interval95.Low, test.AgainstLarge.Interval95.High),
            };
        return json;
    }

    /// <summary>JSON has no infinity; it is written as the text "inf".</summary>
    private static JsonNode Number(double value) => double.IsFinite(value) ? JsonValue.Create(value) : JsonValue.Create(value > 0 ? "inf" : "-inf")!;
}
