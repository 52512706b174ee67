namespace MergeKit.Core.Tests.House;

/// <summary>The top level of the repository is fixed: what a reader sees first stays a table of contents.</summary>
public class LayoutTests
{
    private static readonly string[] TopLevel = ["src", "recipes", "tests", "examples", "MergeKit.Net.sln", "README.md", "LICENSE"];

    /// <summary>What README's commands and the build leave behind; .gitignore names it.</summary>
    private static readonly string[] Outputs = ["quickstart-out", "artifacts", "TestResults"];

    [Fact]
    public void The_top_level_holds_nothing_but_what_is_agreed() => Assert.Empty(
        Directory.EnumerateFileSystemEntries(Repository.Root).Select(path => Path.GetFileName(path)!)
            .Where(name => !name.StartsWith('.')).Except(Outputs).Except(TopLevel));
}
