using MergeKit.Core.Recipes.Yaml;

namespace MergeKit.Core.Recipes.Searching;

/// <summary>Makes a recipe's model paths work from another folder.</summary>
public static class RecipePaths
{
    private static readonly string[] ModelKeys = ["model", "base_model", "path", "lora"];

    /// <summary>The recipe with every model path that leads somewhere only from beside <paramref name="file"/> written anew, relative to the working directory.</summary>
    /// <param name="file">Where the recipe's paths were written.</param>
    /// <param name="yaml">The recipe.</param>
    /// <param name="workingDirectory">Where it will be run.</param>
    public static string Rebase(string file, string yaml, string workingDirectory)
    {
        var beside = Path.GetDirectoryName(Path.GetFullPath(file, workingDirectory)) ?? workingDirectory;
        return YamlWriter.Write(Walk(YamlComposer.Compose(file, yaml, new ProblemList())[0].Root, beside, workingDirectory));
    }

    private static YamlNode Walk(YamlNode node, string beside, string here) => node switch
    {
        YamlMapping mapping => mapping with
        {
            Entries = [.. mapping.Entries.Select(entry => entry with
            {
                Value = entry.Value is YamlScalar { Kind: ScalarKind.Text } path && ModelKeys.Contains(entry.Key.Text) ? path with { Text = Moved(path.Text, beside, here) } : Walk(entry.Value, beside, here),
            })],
        },
        YamlSequence sequence => sequence with { Items = [.. sequence.Items.Select(item => Walk(item, beside, here))] },
        _ => node,
    };

    private static string Moved(string path, string beside, string here) =>
        Path.IsPathRooted(path) || Path.Exists(Path.Combine(here, path)) || !Path.Exists(Path.Combine(beside, path)) ? path
            : Path.GetRelativePath(here, Path.Combine(beside, path));
}
