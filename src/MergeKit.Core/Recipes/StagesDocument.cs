using MergeKit.Core.Diagnostics;
using MergeKit.Core.Recipes.Yaml;

namespace MergeKit.Core.Recipes;

/// <summary>One stage: a model writes a text from a template over the item and the stages before.</summary>
/// <param name="Name">By which later templates know its text, beside y1, y2 and so on.</param>
/// <param name="Model">Who writes.</param>
/// <param name="Prompt">Jinja template.</param>
/// <param name="MaxNewTokens">The most tokens.</param>
/// <param name="Stop">The text ends before the first of these.</param>
/// <param name="Temperature">0 is greedy.</param>
/// <param name="Samples">Texts drawn.</param>
/// <param name="Choose">first, majority, or best by the judge.</param>
/// <param name="Judge">The model that scores texts.</param>
/// <param name="JudgePrompt">What the judge reads before a text; null: the stage's prompt.</param>
/// <param name="Location">Where the entry stands.</param>
public sealed record Stage(
    string Name, ModelReference Model, string Prompt, int MaxNewTokens, IReadOnlyList<string> Stop, double Temperature, int Samples, string Choose,
    ModelReference? Judge, string? JudgePrompt, SourceLocation Location);

/// <summary>A document with <c>stages:</c>: models write one after the other, perhaps in rounds.</summary>
/// <param name="File">The file it came from.</param>
/// <param name="Name">The document's name, if it has one.</param>
/// <param name="Stages">In order.</param>
/// <param name="Rounds">The most rounds.</param>
/// <param name="StopPattern">An item ends when its last text matches this regular expression; null: never.</param>
/// <param name="StopUnchanged">An item ends when its last text is that of the round before.</param>
/// <param name="Data">The items, by which the best round is chosen.</param>
/// <param name="Answer">Template of the right answer; null: nothing is scored.</param>
/// <param name="Test">Other items to report on; null: none.</param>
/// <param name="Limit">Only the first so many items; null: all.</param>
/// <param name="Seed">Of the samples.</param>
/// <param name="Yaml">The document's own text.</param>
/// <param name="Location">Where it stands.</param>
public sealed record StagesRecipe(
    string File, string? Name, IReadOnlyList<Stage> Stages, int Rounds, string? StopPattern, bool StopUnchanged, string Data, string? Answer, string? Test,
    int? Limit, int Seed, string Yaml, SourceLocation Location) : IRecipeDocument
{
    /// <inheritdoc/>
    public bool MakesModel => false;

    /// <inheritdoc/>
    public IReadOnlyList<ModelReference> AllModels() => [.. Stages.SelectMany(stage => new[] { stage.Model, stage.Judge }).OfType<ModelReference>().Distinct()];
}

/// <summary>Reads documents with <c>stages:</c>.</summary>
internal static class StagesDocument
{
    private static readonly string[] Choices = ["first", "majority", "best"];
    private static readonly string[] Taken = ["x", "y", "round"];

    private static readonly KeyTable StageTable = new("stage", "a stage",
    [
        new("name", KeyType.Text, "Its name in later templates (y1, y2, ... always work)."),
        new("model", KeyType.Model, "Who writes.", Required: true),
        new("prompt", KeyType.Text, "Jinja template: x is the item (x.prompt), y1, y2 the stages' texts, y the last text of the round before, round its number.", Required: true),
        new("max_new_tokens", KeyType.Count, "The most tokens (32)."),
        new("stop", KeyType.Text, "The text ends before this; a line break unless given."),
        new("temperature", KeyType.Number, "0 is greedy (0; 0.7 where there are several samples)."),
        new("samples", KeyType.Count, "How many texts are drawn (1)."),
        new("choose", KeyType.Text, "Which sample is taken: first; majority, the commonest; best, by the judge's mean log-probability.") { Choices = Choices },
        new("judge", KeyType.Model, "With choose: best, the model that scores the samples."),
        new("judge_prompt", KeyType.Text, "Template of what the judge reads before a sample; the stage's prompt unless given."),
    ]);

    private static readonly KeyTable UntilTable = new("until", "'until'",
    [
        new("pattern", KeyType.Text, "Regular expression: an item ends when its last text matches."),
        new("unchanged", KeyType.Boolean, "An item ends when its last text is that of the round before."),
    ]);

    /// <summary>The keys of a document of stages.</summary>
    public static KeyTable Table { get; } = new("stages", "a document of stages",
    [
        new("name", KeyType.Text, "The document's name."),
        new("stages", KeyType.List, "The stages, in order.", Required: true, StageTable),
        new("rounds", KeyType.Count, "How often the stages are gone through at most (1)."),
        new("until", KeyType.Mapping, "When an item is done before the last round.", Table: UntilTable),
        new("data", KeyType.Text, "JSONL with the items; the best round is chosen on them.", Required: true),
        new("answer", KeyType.Text, "Template of the right answer; without it nothing is scored."),
        new("test", KeyType.Text, "Other items, reported on at the chosen round."),
        new("limit", KeyType.Count, "Only the first so many items."),
        new("seed", KeyType.Index, "Seed of the samples (0)."),
    ]);

    /// <summary>All tables of the document.</summary>
    public static IReadOnlyList<KeyTable> Tables { get; } = [Table, StageTable, UntilTable];

    /// <summary>The kind of document that this file reads.</summary>
    public static DocumentKind Kind { get; } = new("stages", "a document of stages", Read);

    private static StagesRecipe? Read(YamlDocument document, string file, ProblemList problems)
    {
        var before = problems.Errors;
        if (Fields.Open(document.Root, Table, problems) is not { } fields)
            return null;
        var stages = fields.List("stages").Select((node, index) => ReadStage(node, index, problems)).OfType<Stage>().ToList();
        foreach (var twice in stages.GroupBy(stage => stage.Name, StringComparer.Ordinal).Where(group => group.Count() > 1))
            problems.Error($"two stages have the name '{twice.Key}'; names must differ", twice.Last().Location);
        var until = fields["until"] is { } node ? Fields.Open(node, UntilTable, problems) : null;
        var pattern = until?.Text("pattern");
        if (pattern is not null && !IsPattern(pattern))
            problems.Error($"'pattern' is no regular expression: {Quoting.Shorten(pattern)}", until!["pattern"]!.Location);
        var recipe = new StagesRecipe(
            file, fields.Text("name"), stages, fields.Integer("rounds", 1) ?? 1, pattern, until?.Boolean("unchanged") ?? false, fields.Text("data") ?? "",
            fields.Text("answer"), fields.Text("test"), fields.Integer("limit", 1), fields.Integer("seed", 0) ?? 0, document.Text, fields.Location);
        return problems.Errors == before ? recipe : null;
    }

    private static Stage? ReadStage(YamlNode node, int index, ProblemList problems)
    {
        if (Fields.Open(node, StageTable, problems) is not { } fields)
            return null;
        var (name, model, prompt) = (fields.Text("name") ?? $"y{index + 1}", ModelReader.Read(fields, "model"), fields.Text("prompt"));
        if (Taken.Contains(name))
            problems.Error($"a stage cannot be called '{name}', which templates use for something else ({string.Join(", ", Taken)})", fields["name"]!.Location);
        var (samples, choose, judge) = (fields.Integer("samples", 1) ?? 1, fields.Choice("choose") ?? Choices[0], ModelReader.Read(fields, "judge"));
        var temperature = fields.Number("temperature", 0) ?? (samples > 1 ? 0.7 : 0);
        if (samples > 1 && temperature == 0)
            problems.Error($"'temperature' is 0, at which {samples} samples are all the same; wanted a number above 0", fields.PlaceOf("temperature"));
        if (samples > 1 && fields["choose"] is null)
            problems.Error($"{samples} samples need 'choose': majority or best", fields.PlaceOf("samples"));
        if (choose == "best" != (judge is not null))
            problems.Error("'choose: best' and 'judge' go together; only one is given", fields.PlaceOf(judge is null ? "choose" : "judge"));
        return model is null || prompt is null ? null : new Stage(
            name, model, prompt, fields.Integer("max_new_tokens", 1) ?? 32, [fields.Text("stop", allowBlank: true) ?? "\n"], temperature, samples, choose, judge,
            fields.Text("judge_prompt"), fields.Location);
    }

    private static bool IsPattern(string pattern)
    {
        try
        {
            _ = System.Text.RegularExpressions.Regex.Match("", pattern, System.Text.RegularExpressions.RegexOptions.None, TimeSpan.FromSeconds(1));
            return true;
        }
        catch (Exception error) when (error is ArgumentException or System.Text.RegularExpressions.RegexMatchTimeoutException)
        {
            return false;
        }
    }
}
