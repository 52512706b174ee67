using MergeKit.Core.Diagnostics;
using MergeKit.Core.Recipes.Yaml;

namespace MergeKit.Core.Recipes;

/// <summary>One data set of an evaluation document.</summary>
/// <param name="Path">The file.</param>
/// <param name="Name">What to call it; null: by its file.</param>
/// <param name="Limit">Only so many items; null: all.</param>
/// <param name="Location">Where the entry stands.</param>
public sealed record EvaluationData(string Path, string? Name, int? Limit, SourceLocation Location);

/// <summary>A document with <c>evaluate:</c>: after the merge, its result and other models are measured on the same data.</summary>
/// <param name="File">The file it came from.</param>
/// <param name="Name">The document's name, if it has one.</param>
/// <param name="Data">What to measure on.</param>
/// <param name="Models">The models beside the result; empty: the models that it was merged from.</param>
/// <param name="MaxNewTokens">The most tokens drawn for an exact-match item; null: the default.</param>
/// <param name="Yaml">The document's own text.</param>
/// <param name="Location">Where it stands.</param>
public sealed record EvaluationRecipe(
    string File, string? Name, IReadOnlyList<EvaluationData> Data, IReadOnlyList<ModelReference> Models, int? MaxNewTokens, string Yaml, SourceLocation Location) : IRecipeDocument
{
    /// <inheritdoc/>
    public bool MakesModel => false;

    /// <inheritdoc/>
    public IReadOnlyList<ModelReference> AllModels() => [.. Models.Distinct()];
}

/// <summary>Reads documents with <c>evaluate:</c>.</summary>
internal static class EvaluateDocument
{
    private static readonly KeyTable DataTable = new("evaluationData", "an entry of 'evaluate'",
    [
        new("data", KeyType.Text, "A UTF-8 text, or JSONL of texts, multiple-choice or exact-match items.", Required: true),
        new("name", KeyType.Text, "What to call the data set in tables."),
        new("limit", KeyType.Count, "Only the first so many items."),
    ]);

    private static readonly KeyTable ModelTable = new("evaluatedModel", "an entry of 'models'",
        [new("model", KeyType.Model, "A model folder, or the name of another document of the file.", Required: true)]);

    /// <summary>The keys of an evaluation document.</summary>
    public static KeyTable Table { get; } = new("evaluation", "an evaluation document",
    [
        new("name", KeyType.Text, "The document's name."),
        new("evaluate", KeyType.List, "The data sets.", Required: true, DataTable),
        new("models", KeyType.List, "The models to measure beside the result; left out: those that it was merged from.", Table: ModelTable),
        new("max_new_tokens", KeyType.Count, "The most tokens drawn for an exact-match item."),
    ]);

    /// <summary>All tables of the document, for the schema and for hints.</summary>
    public static IReadOnlyList<KeyTable> Tables { get; } = [Table, DataTable, ModelTable];

    /// <summary>The kind of document that this file reads.</summary>
    public static DocumentKind Kind { get; } = new("evaluate", "an evaluation document", Read);

    private static EvaluationRecipe? Read(YamlDocument document, string file, ProblemList problems)
    {
        var before = problems.Errors;
        if (Fields.Open(document.Root, Table, problems) is not { } fields)
            return null;
        var data = fields.List("evaluate").Select(node => Data(node, problems)).OfType<EvaluationData>().ToList();
        var models = fields.List("models").Select(node => Fields.Open(node, ModelTable, problems)).OfType<Fields>()
            .Select(entry => ModelReader.Read(entry, "model")).OfType<ModelReference>().ToList();
        var recipe = new EvaluationRecipe(file, fields.Text("name"), data, models, fields.Integer("max_new_tokens", 1), document.Text, fields.Location);
        return problems.Errors == before ? recipe : null;
    }

    private static EvaluationData? Data(YamlNode node, ProblemList problems) =>
        Fields.Open(node, DataTable, problems) is { } fields && fields.Text("data") is { } path
            ? new EvaluationData(path, fields.Text("name"), fields.Integer("limit", 1), fields.Location)
            : null;
}
