using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Numerics;
using MergeKit.Core.Recipes;

namespace MergeKit.Cli.Tests.Commands;

/// <summary>A disk that fills up while the result is written, at whatever step: a plain message, nothing under the final name, and with more
/// space the same command ends the work.</summary>
public class DiskFullTests
{
    private const int Page = 4096;

    private static MergePlan Plan(TemporaryFolder scratch) => MergePlanner.Plan(
        RecipeReader.Parse("r.yml", $$$"""
            merge_method: linear
            models:
            - {model: {{{scratch.Join("a")}}}, parameters: {weight: 1}}
            - {model: {{{scratch.Join("b")}}}, parameters: {weight: 1}}
            """)[0],
        new PlanOptions { ShardBytes = 200_000 }); // no output folder: the plan does not look at the disk

    private static MergeResult Run(MergePlan plan, string output) => new MergeRunner(plan, new MergeProgress())
        .Run(output, ResumeMode.WhenSame, _ => new Dictionary<string, string> { ["README.md"] = new string('x', 3 * Page) }, TestContext.Current.CancellationToken);

    [Fact]
    public void At_every_step()
    {
        using var scratch = TemporaryFolder.InMemory(50_000_000);
        SyntheticModel.Llama(scratch.Join("a"), 1, DType.F32);
        SyntheticModel.Llama(scratch.Join("b"), 2, DType.F32);
        using var plan = Plan(scratch);
        Assert.True(plan.IsExecutable);
        var whole = Run(plan, scratch.Join("whole", "out"));
        var pages = whole.Files.Sum(file => (file.Length / Page) + 1);
        var failures = 0;
        for (var lacking = pages - 2; lacking >= 0; lacking -= lacking > 16 ? 13 : 1)
        {
            using var mount = Mount.Tmpfs(scratch.Join("mounted"), $"size={(pages - lacking) * Page}");
            var output = Path.Combine(mount.Path, "out");
            if (Record.Exception(() => Run(plan, output)) is not { } error)
                continue;
            failures++;
            Assert.Matches("No space left|disk was full", Assert.IsType<EnvironmentException>(error).Message);
            Assert.False(Path.Exists(output));
            mount.Remount($"size={(2 * pages) * Page}");
            Run(plan, output);
            Assert.Equal(FolderContent.Read(scratch.Join("whole", "out")), FolderContent.Read(output));
            Assert.Equal(["out"], Directory.GetFileSystemEntries(mount.Path).Select(Path.GetFileName));
        }

        Assert.True(failures > 15, $"only {failures} of the sizes were too small");
    }
}
