using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using MergeKit.Core.Evaluation;
using MergeKit.Core.Search.Trials;

namespace MergeKit.Core.Reports;

/// <summary>A search as JSON (<c>search.json</c>): <c>{format, kind, seed, resumed, warnings, notes, tuning_sets: [{name, metric, weight, items}], winner: trial, trials: [trial],
/// front: [index], importance: [{variable, share, slope}], importance_fit, test: the report of <see cref="JsonReport"/> or null}</c> with trial =
/// <c>{index, role, label, objective, losses, complete, items, values, failure, recipe}</c>. Numbers that JSON cannot hold are null.</summary>
public static class SearchJson
{
    /// <summary>The value of <c>format</c>.</summary>
    public const string Format = "mergekit-net-search-report/1";

    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Writes the report.</summary>
    public static string Write(SearchReport report)
    {
        var outcome = report.Outcome;
        return new JsonObject
        {
            ["format"] = Format,
            ["kind"] = outcome.Search.KindName,
            ["seed"] = outcome.Search.Seed,
            ["resumed"] = report.Resumed,
            ["warnings"] = Texts(report.Warnings),
            ["notes"] = Texts(outcome.Notes),
            ["tuning_sets"] = new JsonArray([.. outcome.Sets.Select(set => new JsonObject { ["name"] = set.Name, ["metric"] = set.Metric, ["weight"] = set.Weight, ["items"] = set.Count })]),
            ["winner"] = Of(outcome.Winner, report.RecipeOf(outcome.Winner)),
            ["trials"] = new JsonArray([.. outcome.Trials.Select(trial => Of(trial, recipe: null))]),
            ["front"] = new JsonArray([.. outcome.Front.Select(trial => Of(trial, report.RecipeOf(trial)))]),
            ["importance"] = new JsonArray([.. outcome.Importance.Select(one => new JsonObject { ["variable"] = one.Variable, ["share"] = Number(one.Share), ["slope"] = Number(one.Direction) })]),
            ["importance_fit"] = Number(outcome.ImportanceFit),
            ["test"] = report.Test is { } test ? JsonNode.Parse(JsonReport.Write(new EvaluationReport(report.Title, test, [], []))) : null,
        }.ToJsonString(Indented) + "\n";
    }

    private static JsonObject Of(Trial trial, string? recipe)
    {
        var json = new JsonObject
        {
            ["index"] = trial.Index,
            ["role"] = trial.Role,
            ["label"] = trial.Label,
            ["objective"] = Number(trial.Objective),
            ["losses"] = new JsonArray([.. trial.Scores.Losses.Select(Number)]),
            ["complete"] = trial.Scores.Complete,
            ["items"] = trial.Scores.Items,
            ["values"] = new JsonArray([.. trial.Values.Select(Number)]),
            ["failure"] = trial.Failure,
        };
        if (recipe is not null)
            json["recipe"] = recipe;
        return json;
    }

    private static JsonArray Texts(IEnumerable<string> texts) => new([.. texts.Select(text => JsonValue.Create(text))]);

    private static JsonValue? Number(double value) => double.IsFinite(value) ? JsonValue.Create(value) : null;
}
