using System.Text.Json;

namespace MergeKit.Cli.Tests.Conformance;

/// <summary>The merge suite: its folder and the cases that its manifest lists.</summary>
internal sealed class MergeSuite
{
    private MergeSuite(string root, IReadOnlyList<MergeCase> cases) => (Root, Cases) = (root, cases);

    /// <summary>The suite under <see cref="Repository.Fixtures"/>.</summary>
    public static MergeSuite Default { get; } = Load(Path.Combine(Repository.Fixtures, "conformance", "merge"));

    public string Root { get; }

    public IReadOnlyList<MergeCase> Cases { get; }

    /// <summary>The cases to run: all in a conformance run, else those whose features are built.</summary>
    public IEnumerable<MergeCase> Selected => Cases.Where(test => Repository.RunUnbuilt || Capabilities.IsBuilt(test.Json, test.RecipeText));

    public MergeCase Get(string name) => Cases.Single(test => test.Name == name);

    private static MergeSuite Load(string root)
    {
        using var manifest = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(root, "manifest.json")));
        var cases = manifest.RootElement.GetProperty("cases").EnumerateArray().Select(item => new MergeCase(item.Clone(), root)).ToList();
        return cases.Count > 0 ? new MergeSuite(root, cases) : throw new InvalidDataException($"{root}: the manifest lists no case");
    }
}
