using MergeKit.Core.Diagnostics;
using MergeKit.Core.Recipes.Yaml;

namespace MergeKit.Core.Recipes;

/// <summary>A model of a cascade.</summary>
/// <param name="Model">The model.</param>
/// <param name="Cost">What an item costs when it runs, in any unit.</param>
public sealed record CascadeModel(ModelReference Model, double Cost);

/// <summary>A document with <c>cascade:</c>: a small model answers where it is confident enough, else a large one does.</summary>
/// <param name="File">The file it came from.</param>
/// <param name="Name">The document's name, if it has one.</param>
/// <param name="Small">Asked first.</param>
/// <param name="Large">Asked where the small one is not confident enough.</param>
/// <param name="Confidence">What confidence is.</param>
/// <param name="Data">Held-out items that the threshold is chosen on.</param>
/// <param name="Test">Items to report on; null: none.</param>
/// <param name="TargetAccuracy">The accuracy to reach at the least cost.</param>
/// <param name="Budget">The cost per item within which to be as accurate as possible.</param>
/// <param name="Threshold">A threshold given instead of chosen.</param>
/// <param name="Votes">Samples for a vote.</param>
/// <param name="Temperature">Their temperature.</param>
/// <param name="MaxNewTokens">The most tokens of a generated answer.</param>
/// <param name="Limit">Only the first so many items; null: all.</param>
/// <param name="Yaml">The document's own text.</param>
/// <param name="Location">Where it stands.</param>
public sealed record CascadeRecipe(
    string File, string? Name, CascadeModel Small, CascadeModel Large, string Confidence, string Data, string? Test, double? TargetAccuracy, double? Budget,
    double? Threshold, int Votes, double Temperature, int MaxNewTokens, int? Limit, string Yaml, SourceLocation Location) : IRecipeDocument
{
    /// <inheritdoc/>
    public bool MakesModel => false;

    /// <inheritdoc/>
    public IReadOnlyList<ModelReference> AllModels() => [.. new[] { Small.Model, Large.Model }.Distinct()];
}

/// <summary>Reads documents with <c>cascade:</c>.</summary>
internal static class CascadeDocument
{
    /// <summary>What confidence may be.</summary>
    private static readonly string[] Confidences = ["mean_logprob", "min_logprob", "margin", "vote_share"];

    private static readonly KeyTable ModelTable = new("cascadeModel", "an entry of 'cascade'",
    [
        new("model", KeyType.Model, "A model folder, or the name of another document of the file.", Required: true),
        new("cost", KeyType.Number, "What an item costs when this model runs, in any unit (parameters, seconds, money).", Required: true),
    ]);

    /// <summary>The keys of a cascade document.</summary>
    public static KeyTable Table { get; } = new("cascade", "a cascade document",
    [
        new("name", KeyType.Text, "The document's name."),
        new("cascade", KeyType.List, "Two models: the small one, then the large one.", Required: true, ModelTable),
        new("confidence", KeyType.Text, "What confidence is (mean_logprob).") { Choices = Confidences },
        new("data", KeyType.Text, "Held-out exact-match or multiple-choice items (JSONL) that the threshold is chosen on.", Required: true),
        new("test", KeyType.Text, "Other items to report the cascade on."),
        new("target_accuracy", KeyType.Number, "Choose the cheapest threshold that reaches this accuracy, from 0 to 1."),
        new("budget", KeyType.Number, "Choose the most accurate threshold within this mean cost per item."),
        new("threshold", KeyType.Number, "Use this threshold instead of choosing one."),
        new("votes", KeyType.Count, "Samples for vote_share (5)."),
        new("temperature", KeyType.Number, "Their temperature (0.7)."),
        new("max_new_tokens", KeyType.Count, "The most tokens of a generated answer (32)."),
        new("limit", KeyType.Count, "Only the first so many items."),
    ]);

    /// <summary>All tables of the document.</summary>
    public static IReadOnlyList<KeyTable> Tables { get; } = [Table, ModelTable];

    /// <summary>The kind of document that this file reads.</summary>
    public static DocumentKind Kind { get; } = new("cascade", "a cascade document", Read);

    private static CascadeRecipe? Read(YamlDocument document, string file, ProblemList problems)
    {
        var before = problems.Errors;
        if (Fields.Open(document.Root, Table, problems) is not { } fields)
            return null;
        var models = fields.List("cascade").Select(node => Fields.Open(node, ModelTable, problems)).OfType<Fields>().ToList();
        var entries = models.Select(entry => (Model: ModelReader.Read(entry, "model"), Cost: entry.Number("cost", 0))).ToList();
        if (problems.Errors == before && entries.Count != 2)
            problems.Error($"'cascade' has {entries.Count} models; wanted two, the small one first", fields["cascade"]!.Location);
        var confidence = fields.Choice("confidence") ?? Confidences[0];
        var (target, budget, threshold) = (fields.Number("target_accuracy", 0, 1), fields.Number("budget", 0), fields.Number("threshold"));
        if (new[] { target, budget, threshold }.Count(value => value is not null) != 1 && problems.Errors == before)
            problems.Error("exactly one of 'target_accuracy', 'budget' and 'threshold' must be given", fields.Location);
        if (fields.Number("temperature", 0) is 0 && confidence == "vote_share")
            problems.Error("'temperature' is 0, at which all votes are equal; wanted a number above 0", fields["temperature"]!.Location);
        var (name, data, test) = (fields.Text("name"), fields.Text("data"), fields.Text("test"));
        var (votes, temperature) = (fields.Integer("votes", 2) ?? 5, fields.Number("temperature", 0) ?? 0.7);
        var (tokens, limit) = (fields.Integer("max_new_tokens", 1) ?? 32, fields.Integer("limit", 1));
        return problems.Errors > before ? null : new CascadeRecipe(
            file, name, Of(entries[0]), Of(entries[1]), confidence, data!, test, target, budget, threshold, votes, temperature, tokens, limit, document.Text, fields.Location);

        static CascadeModel Of((ModelReference? Model, double? Cost) entry) => new(entry.Model!, entry.Cost!.Value);
    }
}
