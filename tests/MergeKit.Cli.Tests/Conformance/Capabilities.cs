using System.Text.Json;

namespace MergeKit.Cli.Tests.Conformance;

/// <summary>Which features of the suite are not built yet. Shrink these lists as the work lands; a case is never named.</summary>
internal static class Capabilities
{
    private static readonly string[] UnbuiltCommands = ["raw", "moe", "lora"];

    private static readonly string[] UnbuiltMethods =
    [
        "nuslerp", "multislerp", "karcher", "della", "della_linear", "breadcrumbs", "breadcrumbs_ties",
        "model_stock", "nearswap", "sce", "arcee_fusion", "ram", "ramplus_tl",
    ];

    private static readonly string[] UnbuiltKeys = ["tokenizer", "tokenizer_source", "chat_template"];

    private const bool FoldsAdapters = false;

    /// <summary>Whether everything that the case needs is built.</summary>
    public static bool IsBuilt(JsonElement test, string recipeText) => MissingFeature(test, recipeText) is null;

    /// <summary>The first feature that the case needs and that is not built; null where there is none.</summary>
    public static string? MissingFeature(JsonElement test, string recipeText)
    {
        var isError = test.GetProperty("kind").GetString() == "error";
        var command = test.GetProperty(isError ? "command" : "kind").GetString()!;
        if (UnbuiltCommands.Contains(command))
            return $"command '{command}'";
        var features = RecipeFeatures.Read(recipeText);
        if (features.Methods.FirstOrDefault(UnbuiltMethods.Contains) is { } method)
            return $"merge method '{method}'";
        if (isError && test.GetProperty("expect").GetString() == "reject")
            return null; // to refuse a recipe for its own fault takes no feature but reading it
        if (UnbuiltKeys.FirstOrDefault(features.Keys.Contains) is { } key)
            return $"recipe key '{key}'";
        return !FoldsAdapters && features.Models.Any(path => path.Contains('+', StringComparison.Ordinal)) ? "LoRA adapters as inputs" : null;
    }
}
