namespace MergeKit.Core.Tests.House;

/// <summary>One source file: its path from the repository's root, with forward slashes, and its lines.</summary>
internal sealed record SourceFile(string Path, IReadOnlyList<string> Lines)
{
    /// <summary>The lines that are no comment of their own.</summary>
    public IEnumerable<string> Code => Lines.Where(line => !line.TrimStart().StartsWith("//", StringComparison.Ordinal));

    /// <summary>The folder that holds it, from the root.</summary>
    public string Folder => Path[..Path.LastIndexOf('/')];
}

/// <summary>The files that people wrote: no build output, no fixtures.</summary>
internal static class SourceTree
{
    private static readonly string[] Foreign = ["bin", "obj", "fixtures", "TestResults"];

    /// <summary>All files under <c>src</c> and <c>tests</c> with one of the endings.</summary>
    public static IReadOnlyList<SourceFile> Files(params string[] endings) =>
        [.. new[] { "src", "tests" }.SelectMany(top => Walk(new DirectoryInfo(System.IO.Path.Combine(Repository.Root, top))))
            .Where(file => endings.Contains(file.Extension))
            .Select(Read)
            .OrderBy(file => file.Path, StringComparer.Ordinal)];

    /// <summary>Every text that a reader of the repository sees besides: recipes, documents, scripts, project files.</summary>
    public static IReadOnlyList<SourceFile> Texts() =>
        [.. Files(".cs", ".cu", ".cuh", ".csproj", ".props", ".txt", ".md", ".yml", ".json", ""),
            .. new[] { "README.md", ".ci/run", ".editorconfig", "MergeKit.Net.sln" }
                .Select(name => new FileInfo(System.IO.Path.Combine(Repository.Root, name))).Where(file => file.Exists).Select(Read),
            .. Walk(new DirectoryInfo(System.IO.Path.Combine(Repository.Root, "recipes"))).Select(Read)];

    private static IEnumerable<FileInfo> Walk(DirectoryInfo folder) => !folder.Exists ? [] : folder.EnumerateFiles()
        .Concat(folder.EnumerateDirectories().Where(child => !Foreign.Contains(child.Name)).SelectMany(Walk));

    private static SourceFile Read(FileInfo file) =>
        new(System.IO.Path.GetRelativePath(Repository.Root, file.FullName).Replace('\\', '/'), File.ReadAllLines(file.FullName));
}
