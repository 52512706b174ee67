using System.Text.Json;
using System.Text.Json.Nodes;
using MergeKit.Core.Merging.Execution;

namespace MergeKit.Cli.Display;

/// <summary>What a finished run says.</summary>
internal static class RunReport
{
    public static void Print(IReadOnlyList<MergeResult> results, TextWriter writer)
    {
        foreach (var result in results)
        {
            var bytes = result.Files.Sum(file => file.Length);
            writer.WriteLine($"{result.Folder}: {result.Files.Count} files, {bytes:N0} bytes, verified, in {result.Elapsed.TotalSeconds:F2} s ({bytes / 1e9 / result.Elapsed.TotalSeconds:F2} GB/s)");
        }
    }

    public static string Json(IReadOnlyList<MergeResult> results) => new JsonObject
    {
        ["results"] = new JsonArray([.. results.Select(result => new JsonObject
        {
            ["folder"] = result.Folder,
            ["seconds"] = result.Elapsed.TotalSeconds,
            ["files"] = new JsonArray([.. result.Files.Select(file => new JsonObject { ["name"] = file.Name, ["bytes"] = file.Length, ["sha256"] = file.Sha256 })]),
            ["problems"] = new JsonArray([.. result.Problems.Select(problem => JsonValue.Create(problem.ToString()))]),
        })]),
    }.ToJsonString(new JsonSerializerOptions { WriteIndented = true });
}
