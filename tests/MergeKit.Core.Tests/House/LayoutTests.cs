namespace MergeKit.Core.Tests.House;

/// <summary>The top level of the repository is fixed: what a reader sees first stays a table of contents.</summary>
public class LayoutTests
{
    private static readonly string[] TopLevel = ["src", "recipes", "tests", "examples", "MergeKit.Net.sln", "README.md", "LICENSE"];

    /// <summary>What README's commands and the build leave behind; .gitignore names it.</summary>
    private static readonly string[] Outputs = ["quickstart-out", "artifacts", "TestResults"];

    [Fact]
    public void The_top_level_holds_what_is_agreed_and_nothing_else()
    {
        var found = Directory.EnumerateFileSystemEntries(Repository.Root).Select(path => Path.GetFileName(path)!)
            .Where(name => !name.StartsWith('.')).Except(Outputs).Order(StringComparer.Ordinal);
        Assert.Equal(TopLevel.Order(StringComparer.Ordinal), found);
    }
}
