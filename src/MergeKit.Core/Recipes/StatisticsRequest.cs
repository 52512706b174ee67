using MergeKit.Core.Diagnostics;
using MergeKit.Core.Recipes.Yaml;

namespace MergeKit.Core.Recipes;

/// <summary>What a model's statistics are recorded on, and how.</summary>
/// <param name="Data">The texts, as the recipe names them; none where <paramref name="File"/> is all there is.</param>
/// <param name="File">The file that has them, or will; null for one in the user's cache.</param>
/// <param name="Location">Where the recipe says so.</param>
public sealed record StatisticsRequest(IReadOnlyList<string> Data, string? File, SourceLocation Location)
{
    /// <summary>Values of <c>labels</c>: <see cref="LabelsOfText"/> is the second.</summary>
    public static IReadOnlyList<string> LabelNames { get; } = ["sampled", "text"];

    /// <summary>Values of <c>per</c>: <see cref="PerToken"/> is the second.</summary>
    public static IReadOnlyList<string> ExampleNames { get; } = ["sequence", "token"];

    /// <summary>Stop after so many tokens.</summary>
    public long MaxTokens { get; init; } = 100_000;

    /// <summary>Tokens of one sequence.</summary>
    public int Window { get; init; } = 512;

    /// <summary>Whether labels are the text's tokens instead of draws from the model.</summary>
    public bool LabelsOfText { get; init; }

    /// <summary>Whether every token is an example of its own.</summary>
    public bool PerToken { get; init; }

    /// <summary>Decides the sampled labels.</summary>
    public ulong Seed { get; init; }

    /// <summary>The value of <c>statistics</c>; null where it is absent or wrong.</summary>
    internal static StatisticsRequest? Read(Fields source)
    {
        if (source["statistics"] is not { } node)
            return null;
        if (node is not YamlMapping)
            return source.Text("statistics") is { } file ? new StatisticsRequest([], file, node.Location) : null;
        if (Fields.Open(node, RecipeKeys.StatisticsRequest, source.Problems) is not { } fields)
            return null;
        IReadOnlyList<string> data = fields["data"] is YamlSequence ? [.. fields.List("data").Select(item => Values.Text(item, "an entry of 'data'", fields.Problems)).OfType<string>()]
            : fields.Text("data") is { } single ? [single] : [];
        var defaults = new StatisticsRequest(data, fields.Text("file"), node.Location);
        return data.Count == 0 ? null : defaults with
        {
            MaxTokens = fields.Integer("max_tokens", 1) ?? defaults.MaxTokens,
            Window = fields.Integer("window", 1) ?? defaults.Window,
            LabelsOfText = fields.Choice("labels") == LabelNames[1],
            PerToken = fields.Choice("per") == ExampleNames[1],
            Seed = (ulong)(fields.Integer("seed", 0) ?? 0),
        };
    }
}
