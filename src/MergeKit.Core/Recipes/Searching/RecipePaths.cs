using MergeKit.Core.Recipes.Yaml;

namespace MergeKit.Core.Recipes.Searching;

/// <summary>Makes a recipe's model paths work from another folder.</summary>
public static class RecipePaths
{
    private static readonly string[] ModelKeys = ["model", "base_model", "path", "lora", "source_model", "collapse", "tokenizer_source", "source"];

    /// <summary>The recipe with every model path that leads somewhere only from beside <paramref name="file"/> written anew, relative to the working directory.</summary>
    /// <param name="file">Where the recipe's paths were written.</param>
    /// <param name="yaml">The recipe.</param>
    /// <param name="workingDirectory">Where it will be run.</param>
    /// <param name="results">Names of other documents' results, which are no paths.</param>
    /// <param name="name">The document's name; null: it keeps its own, or none.</param>
    public static string Rebase(string file, string yaml, string workingDirectory, IReadOnlyCollection<string> results, string? name = null)
    {
        var beside = Path.GetDirectoryName(Path.GetFullPath(file, workingDirectory)) ?? workingDirectory;
        var root = Walk(YamlComposer.Compose(file, yaml, new ProblemList())[0].Root);
        if (name is not null && root is YamlMapping mapping && mapping.Find("name") is null)
            root = mapping with { Entries = [new YamlEntry(new YamlBuilder(root.Location).Text("name"), new YamlBuilder(root.Location).Text(name)), .. mapping.Entries] };
        return YamlWriter.Write(root);

        YamlNode Walk(YamlNode node) => node switch
        {
            YamlMapping mapping => mapping with
            {
                Entries = [.. mapping.Entries.Select(entry => entry with
                {
                    Value = entry.Value is YamlScalar { Kind: ScalarKind.Text } path && ModelKeys.Contains(entry.Key.Text) && !results.Contains(path.Text)
                        ? path with { Text = Moved(path.Text, beside, workingDirectory) } : Walk(entry.Value),
                })],
            },
            YamlSequence sequence => sequence with { Items = [.. sequence.Items.Select(Walk)] },
            _ => node,
        };
    }

    private static string Moved(string path, string beside, string here) =>
        Path.IsPathRooted(path) || Path.Exists(Path.Combine(here, path)) || !Path.Exists(Path.Combine(beside, path)) ? path
            : Path.GetRelativePath(here, Path.Combine(beside, path));
}
