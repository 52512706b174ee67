using MergeKit.Cli.Tests.Conformance;

namespace MergeKit.Cli.Tests;

/// <summary>Every file in <c>recipes/above-the-token</c> is carried out by the command that its first lines name.</summary>
public sealed class WorkflowRecipesTests
{
    private const string Folder = "recipes/above-the-token";

    public static TheoryData<string> Recipes =>
        [.. Directory.GetFiles(Path.Combine(Repository.Root, Folder), "*.yml").Select(file => Path.GetFileName(file)).Order(StringComparer.Ordinal)];

    [Theory]
    [MemberData(nameof(Recipes))]
    public void The_command_in_the_comment_works_as_it_stands(string recipe)
    {
        using var scratch = new TemporaryFolder();
        var lines = File.ReadAllLines(Path.Combine(Repository.Root, Folder, recipe));
        Assert.StartsWith("# ", lines[0], StringComparison.Ordinal);
        var command = Assert.Single(lines, line => line.StartsWith("#   mergekit ", StringComparison.Ordinal))["#   mergekit ".Length..];
        Assert.Contains($"{Folder}/{recipe}", command, StringComparison.Ordinal);
        string[] words = [.. command.Split(' ').Select((word, i) => IsOutput(command.Split(' '), i) ? scratch.Join(word) : word)];
        var run = CommandLine.Run([.. words, "--working-directory", Repository.Root]);
        Assert.True(run.ExitCode == 0, run.ToString());
        Assert.NotEmpty(run.Output);
        foreach (var written in words.Where((_, i) => IsOutput(words, i)))
            Assert.True(new FileInfo(written).Length > 0, written);
    }

    private static bool IsOutput(string[] words, int i) => i > 0 && (words[i - 1] is "--out" or "--html" or "--log");
}
