using System.Globalization;
using System.Text.Json.Nodes;
using MergeKit.Inference.Ensembles;

namespace MergeKit.Cli.Display;

/// <summary>The plan of an ensemble as text and as JSON.</summary>
internal static class EnsemblePlanReport
{
    public static void Print(EnsemblePlan plan, TextWriter writer)
    {
        foreach (var member in plan.Members)
            writer.WriteLine($"{member.Model}{Details(member)}: {member.Kind}");
        writer.WriteLine($"{plan.Recipe.Name ?? "result"}: {plan.Recipe.Rule.Name} of {plan.Members.Count} members; {plan.Recipe.Rule.Summary}");
        writer.WriteLine($"nothing is written: {plan.WeightBytes:N0} bytes of weights are read at every step");
    }

    public static JsonObject Json(EnsemblePlan plan) => new()
    {
        ["name"] = plan.Recipe.Name,
        ["ensemble"] = plan.Recipe.Rule.Name,
        ["executable"] = plan.IsExecutable,
        ["vocabulary"] = plan.Recipe.Vocabulary.Mode,
        ["weight_bytes"] = plan.WeightBytes,
        ["problems"] = new JsonArray([.. plan.Problems.Select(problem => new JsonObject
        {
            ["severity"] = problem.Severity.ToString().ToLowerInvariant(),
            ["message"] = problem.Message,
            ["location"] = problem.Location?.ToString(),
        })]),
        ["members"] = new JsonArray([.. plan.Members.Select(member => new JsonObject
        {
            ["model"] = member.Model,
            ["kind"] = member.Kind,
            ["role"] = member.Role,
            ["weight"] = member.Weight,
            ["passes"] = member.Passes,
        })]),
    };

    private static string Details(PlannedMember member) => string.Concat(
        member.Role is { } role ? $" as {role}" : "",
        member.Weight is { } weight ? string.Create(CultureInfo.InvariantCulture, $" x {weight:0.####}") : "",
        member.Passes > 1 ? $", {member.Passes} passes with dropout" : "");
}
