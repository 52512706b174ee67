using System.Text.RegularExpressions;
using MergeKit.Cli.Tests.Conformance;

namespace MergeKit.Cli.Tests;

/// <summary>What README promises is what happens.</summary>
public sealed partial class ReadmeTests : IDisposable
{
    private static readonly string Readme = File.ReadAllText(Path.Combine(Repository.Root, "README.md"));

    private readonly TemporaryFolder _folder = new();

    [GeneratedRegex(@"^dotnet run -c Release --project src/MergeKit\.Cli -- run (?<recipe>\S+) (?<out>\S+)$", RegexOptions.Multiline)]
    private static partial Regex QuickstartCommand();

    [GeneratedRegex(@"```yaml\n(?<recipe>.*?)```", RegexOptions.Singleline)]
    private static partial Regex YamlBlock();

    [GeneratedRegex(@"\]\((?!https?:)(?<target>[^)#]+)\)")]
    private static partial Regex LocalLink();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void The_quickstart_gives_a_model()
    {
        var recipe = Assert.Single(QuickstartCommand().Matches(Readme)).Groups["recipe"].Value;
        AssertMerges(recipe);
    }

    /// <summary>The merge and the evaluation document that README shows make one recipe file.</summary>
    [Fact]
    public void The_example_recipe_merges_and_is_evaluated()
    {
        var blocks = YamlBlock().Matches(Readme).Select(block => block.Groups["recipe"].Value).ToList();
        Assert.Equal(2, blocks.Count);
        File.WriteAllText(_folder.Join("readme.yml"), string.Join("---\n", blocks));
        AssertMerges(_folder.Join("readme.yml"));
    }

    [Fact]
    public void Every_local_link_leads_somewhere() => Assert.All(
        LocalLink().Matches(Readme).Select(link => Path.Combine(Repository.Root, link.Groups["target"].Value)),
        target => Assert.True(Path.Exists(target), target));

    [Fact]
    public void The_test_command_is_the_one_that_is_used()
    {
        Assert.Contains("\ndotnet test -c Release\n", Readme, StringComparison.Ordinal);
        Assert.Contains("dotnet test -c Release", File.ReadAllText(Path.Combine(Repository.Root, ".ci", "run")), StringComparison.Ordinal);
    }

    private void AssertMerges(string recipe)
    {
        var folder = _folder.Join("out-" + Path.GetFileNameWithoutExtension(recipe));
        var run = CommandLine.Run(["run", recipe, folder, "--working-directory", Repository.Root]);
        Assert.True(run.ExitCode == 0, run.ToString());
        var findings = new List<string>();
        Assert.NotEmpty(OutputFolder.Read(folder, null, findings));
        Assert.Empty(findings);
    }
}
