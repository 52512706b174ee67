using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using MergeKit.Core.Merging;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Numerics;
using MergeKit.Core.Reports;

namespace MergeKit.Cli.Display;

/// <summary>A plan as text and as JSON.</summary>
internal static class PlanReport
{
    public static void Print(MergePlan plan, TextWriter writer, bool withTensors)
    {
        if (withTensors)
            foreach (var job in plan.Jobs)
                writer.WriteLine($"{job.Name} {job.OutputType.SafetensorsName()} {job.ShapeText} = {job.Method.Description.Name}({Arguments(job)})");
        writer.WriteLine($"{plan.Recipe.Name ?? "result"}: {plan.Recipe.Kind} of {string.Join(", ", plan.Inputs.Select(input => input.Name))}");
        foreach (var sentence in plan.Vocabulary?.Report.Sentences() ?? [])
            writer.WriteLine(TextTable.Clean(sentence));
        writer.WriteLine($"{plan.Jobs.Count} tensors, {plan.Parameters:N0} parameters, {plan.OutputBytes:N0} bytes in {Files(plan.Layout?.Shards.Count ?? 0)}; "
            + $"reads {plan.InputBytes:N0} bytes; {plan.WorkingBytes:N0} bytes of buffers on {plan.Options.Threads} threads");
        if (plan.Matrices is { } matrices)
            writer.WriteLine(matrices.Sentence);
    }

    public static JsonObject Json(MergePlan plan) => new()
    {
        ["name"] = plan.Recipe.Name,
        ["merge_method"] = plan.Recipe.Kind,
        ["executable"] = plan.IsExecutable,
        ["parameters"] = plan.Parameters,
        ["output_bytes"] = plan.OutputBytes,
        ["input_bytes"] = plan.InputBytes,
        ["buffer_bytes"] = plan.WorkingBytes,
        ["decompositions"] = plan.Matrices is { } matrices ? Decompositions(matrices) : null,
        ["vocabulary"] = plan.Vocabulary is { Report: var report } ? VocabularyJson.Of(report) : null,
        ["problems"] = new JsonArray([.. plan.Problems.Select(problem => new JsonObject
        {
            ["severity"] = problem.Severity.ToString().ToLowerInvariant(),
            ["message"] = problem.Message,
            ["location"] = problem.Location?.ToString(),
        })]),
        ["files"] = new JsonArray([.. plan.Layout?.Shards.Select(shard => new JsonObject { ["name"] = shard.FileName, ["bytes"] = shard.Length }) ?? []]),
        ["tensors"] = new JsonArray([.. plan.Jobs.Select(Tensor)]),
    };

    private static JsonObject Decompositions(MatrixCost cost) => new()
    {
        ["matrices"] = cost.Count,
        ["largest"] = cost.Largest,
        ["operations"] = cost.Operations,
        ["seconds"] = cost.Seconds,
        ["bytes"] = cost.Bytes,
        ["place"] = cost.Place,
    };

    public static string Text(List<JsonNode?> plans) =>
        new JsonObject { ["plans"] = new JsonArray([.. plans]) }.ToJsonString(new JsonSerializerOptions { WriteIndented = true });

    private static JsonObject Tensor(TensorJob job) => new()
    {
        ["name"] = job.Name,
        ["dtype"] = job.OutputType.TorchName(),
        ["shape"] = new JsonArray([.. job.Shape.Select(extent => JsonValue.Create(extent))]),
        ["method"] = job.Method.Description.Name,
        ["parameters"] = Map(job.Parameters),
        ["sources"] = new JsonArray([.. job.Sources.Select(source => new JsonObject
        {
            ["model"] = source.Model,
            ["tensor"] = source.Data.Description,
            ["base"] = source.IsBase,
            ["parameters"] = Map(source.Parameters),
        })]),
    };

    private static JsonObject Map(IReadOnlyDictionary<string, double> values) =>
        new(values.Select(pair => KeyValuePair.Create(pair.Key, (JsonNode?)JsonValue.Create(pair.Value))));

    private static string Arguments(TensorJob job) => string.Join(", ", job.Sources
        .Select(source => $"{(source.IsBase ? "base " : "")}{source.Data.Description}{Braces(source.Parameters)}")
        .Concat(job.Parameters.Select(pair => Assign(pair))));

    private static string Braces(IReadOnlyDictionary<string, double> values) =>
        values.Count == 0 ? "" : $" {{{string.Join(", ", values.Select(pair => Assign(pair)))}}}";

    private static string Files(int count) => count == 1 ? "1 file" : $"{count} files";

    private static string Assign(KeyValuePair<string, double> pair) => string.Create(CultureInfo.InvariantCulture, $"{pair.Key} {pair.Value:0.######}");
}
