using MergeKit.Cli.Tests.Conformance;

namespace MergeKit.Cli.Tests;

/// <summary>Every file in <c>recipes/</c> is planned and run, as it stands.</summary>
public sealed class RecipesFolderTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public static TheoryData<string> Recipes =>
        [.. Directory.GetFiles(Path.Combine(Repository.Root, "recipes"), "*.yml").Select(file => "recipes/" + Path.GetFileName(file)).Order(StringComparer.Ordinal)];

    public void Dispose() => _folder.Dispose();

    [Theory]
    [MemberData(nameof(Recipes))]
    public void Is_planned_without_a_problem(string recipe)
    {
        var run = CommandLine.Run(["plan", recipe, "--working-directory", Repository.Root]);
        Assert.True(run.ExitCode == 0, run.ToString());
        Assert.NotEmpty(run.Output);
    }

    [Theory]
    [MemberData(nameof(Recipes))]
    public void Gives_a_model_of_finite_numbers(string recipe)
    {
        var run = CommandLine.Run(["run", recipe, _folder.Join("out"), "-I", _folder.Join("stages"), "--working-directory", Repository.Root]);
        Assert.True(run.ExitCode == 0, run.ToString());
        if (!File.ReadAllText(Path.Combine(Repository.Root, recipe)).Contains("merge_method:", StringComparison.Ordinal))
        {
            // Models that are only combined while they run: what is written is what was measured.
            Assert.All(new[] { "report.json", "report.html", "mergekit_config.yml" }, name => Assert.True(File.Exists(_folder.Join("out", name)), $"no {name}"));
            Assert.DoesNotContain("NaN", File.ReadAllText(_folder.Join("out", "report.json")), StringComparison.Ordinal);
            return;
        }

        var findings = new List<string>();
        var tensors = OutputFolder.Read(_folder.Join("out"), null, findings);
        Assert.Empty(findings);
        Assert.True(File.Exists(_folder.Join("out", "config.json")), "no config.json");
        Assert.All(tensors.Values, tensor => Assert.All(tensor.Values(), value => Assert.True(double.IsFinite(value), $"{tensor.Name} has {value}")));
    }

    [Fact]
    public void Every_recipe_says_what_it_is_for() =>
        Assert.All(Recipes.Select(row => row.Data), recipe => Assert.StartsWith("# ", File.ReadAllText(Path.Combine(Repository.Root, recipe)), StringComparison.Ordinal));
}
