using System.Text.Json;
using MergeKit.Core.Merging;

namespace MergeKit.Cli.Tests.Conformance;

/// <summary>Which features of the suite are not built yet: methods by the library's catalog, the rest by these lists, to be shrunk as the
/// work lands. A case is never named.</summary>
internal static class Capabilities
{
    private static readonly string[] UnbuiltCommands = [];

    /// <summary>mergekit's methods. One that the library's catalog lacks is not built; a name that is not here is an error, not a feature.</summary>
    private static readonly string[] MergekitMethods =
    [
        "linear", "slerp", "nuslerp", "multislerp", "karcher", "task_arithmetic", "ties", "dare_linear", "dare_ties", "della", "della_linear",
        "breadcrumbs", "breadcrumbs_ties", "model_stock", "nearswap", "sce", "arcee_fusion", "ram", "ramplus_tl", "passthrough",
    ];

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
        return features.Methods.FirstOrDefault(name => MergekitMethods.Contains(name) && MethodCatalog.Find(name) is null) is { } method
            ? $"merge method '{method}'" : null;
    }
}
