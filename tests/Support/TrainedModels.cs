namespace MergeKit.Tests.Support;

/// <summary>The tiny trained models and the references to them.</summary>
public static class TrainedModels
{
    /// <summary>The folder of models and references.</summary>
    public static string Root => Path.Combine(Repository.Fixtures, "models");

    /// <summary>The folder of references.</summary>
    public static string References => Path.Combine(Root, "references");

    /// <summary>Sizes (folder names) of which models are present.</summary>
    public static IReadOnlyList<string> Sizes => [.. new[] { "nano", "small" }.Where(size => Directory.Exists(Path.Combine(Root, size)))];

    /// <summary>The folder of a model.</summary>
    public static string Folder(string size, string name) => Path.Combine(Root, size, name);

    /// <summary>The folder of a model here, or beside the repository where the larger ones stay; null where it is in neither.</summary>
    public static string? Find(string size, string name) =>
        new[] { Root, Path.Combine(Repository.Root, "..", "shared", "models") }.Select(root => Path.GetFullPath(Path.Combine(root, size, name)))
            .FirstOrDefault(folder => File.Exists(Path.Combine(folder, "model.safetensors")));

    /// <summary>Whether a model (not only its references) is present.</summary>
    public static bool IsPresent(string size, string name) => File.Exists(Path.Combine(Folder(size, name), "model.safetensors"));
}
