using System.Text.Json;
using System.Text.Json.Nodes;
using MergeKit.Cli.Commands;
using MergeKit.Core.Evaluation;
using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Reports;

namespace MergeKit.Cli.Display;

/// <summary>What a finished run says.</summary>
internal static class RunReport
{
    public static void Print(IReadOnlyList<MergeResult> results, ResultReview? review, TextWriter writer)
    {
        foreach (var result in results)
        {
            var bytes = result.Files.Sum(file => file.Length);
            writer.WriteLine($"{result.Folder}: {result.Files.Count} files, {bytes:N0} bytes, verified, in {result.Elapsed.TotalSeconds:F2} s ({bytes / 1e9 / result.Elapsed.TotalSeconds:F2} GB/s)");
        }

        PrintTables(review?.Results ?? [], writer);
        if (review?.Checked is { } check)
            writer.WriteLine(!check.Passed ? "check: FAILED: do not use this model before you know why" : check.Result is null ? "check: not run" : "check: passed");
    }

    /// <summary>Tables of an evaluation.</summary>
    public static void PrintTables(IReadOnlyList<EvaluationResult> tables, TextWriter writer)
    {
        foreach (var table in tables)
        {
            writer.WriteLine();
            writer.WriteLine(MarkdownReport.Table(table).TrimEnd());
        }
    }

    public static string Json(IReadOnlyList<MergeResult> results, ResultReview? review) => new JsonObject
    {
        ["check"] = review?.Checked is not { } check ? null : new JsonObject
        {
            ["passed"] = check.Passed,
            ["problems"] = new JsonArray([.. check.Problems.Select(problem => JsonValue.Create(problem.ToString()))]),
        },
        ["results"] = new JsonArray([.. results.Select(result => new JsonObject
        {
            ["folder"] = result.Folder,
            ["seconds"] = result.Elapsed.TotalSeconds,
            ["files"] = new JsonArray([.. result.Files.Select(file => new JsonObject { ["name"] = file.Name, ["bytes"] = file.Length, ["sha256"] = file.Sha256 })]),
            ["problems"] = new JsonArray([.. result.Problems.Select(problem => JsonValue.Create(problem.ToString()))]),
        })]),
    }.ToJsonString(new JsonSerializerOptions { WriteIndented = true });
}
