using MergeKit.Core.Diagnostics;
using MergeKit.Core.Recipes.Yaml;

namespace MergeKit.Core.Recipes;

/// <summary>How an ensemble's weights are learned.</summary>
/// <param name="Data">The file with the examples.</param>
/// <param name="Prompt">Jinja template of an example's prompt over the fields of its line; null: the file's own kind says what is prompt and what is answer.</param>
/// <param name="Target">Jinja template of the answer, of which alone is learned; given where <paramref name="Prompt"/> is.</param>
/// <param name="Examples">The most examples, from the start of the file.</param>
/// <param name="Folds">Parts for cross-validation; whole examples.</param>
/// <param name="L2">Strength of the ridge, for exponents and gates.</param>
/// <param name="Method">How; <c>auto</c>: by the kind of ensemble.</param>
/// <param name="Location">Where it stands.</param>
public sealed record LearnSettings(
    string Data, string? Prompt, string? Target, int Examples, int Folds, double L2, string Method, SourceLocation Location);

/// <summary>Reads <c>learn:</c>.</summary>
internal static class LearnReader
{
    private static readonly string[] Methods = ["auto", "em", "newton", "similarity", "greedy"];

    /// <summary>The keys of <c>learn:</c>.</summary>
    public static KeyTable Table { get; } = new("learn", "'learn'",
    [
        new("data", KeyType.Text, "JSONL with the examples that the weights are learned from (50 to 100 are enough), or a text. Not the data that is reported on.", Required: true),
        new("prompt", KeyType.Text, "Jinja template of the prompt over the fields of a line."),
        new("target", KeyType.Text, "Jinja template of the answer; weights are learned on its tokens alone."),
        new("examples", KeyType.Count, "The most examples, from the start of the file (100)."),
        new("folds", KeyType.Count, "Parts for cross-validation, at least 2 (5)."),
        new("l2", KeyType.Number, "Strength of the ridge that pulls exponents to 1/K and gates to constant weights (0.01)."),
        new("method", KeyType.Text, "How; auto goes by the kind of ensemble.") { Choices = Methods },
    ]);

    /// <summary>The settings under a key, or null when it is absent or wrong.</summary>
    public static LearnSettings? Read(Fields owner, string key)
    {
        if (owner[key] is not { } node || Fields.Open(node, Table, owner.Problems) is not { } fields)
            return null;
        var before = owner.Problems.Errors;
        var settings = new LearnSettings(
            fields.Text("data") ?? "", fields.Text("prompt", allowBlank: true), fields.Text("target", allowBlank: true),
            fields.Integer("examples", 2) ?? 100, fields.Integer("folds", 2) ?? 5, fields.Number("l2", 0) ?? 0.01, fields.Choice("method") ?? Methods[0], fields.Location);
        if (settings.Prompt is null != settings.Target is null)
            owner.Problems.Error("'prompt' and 'target' of 'learn' go together; only one is given", fields.Location);
        return owner.Problems.Errors == before ? settings : null;
    }
}
