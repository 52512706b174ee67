using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Tests.Merging.Execution;

/// <summary>An input that is changed while it is used makes the run fail; nothing is published.</summary>
public class ChangingInputTests
{
    private static TemporaryFolder Scratch(int vocabulary)
    {
        var scratch = TemporaryFolder.InMemory(500_000_000);
        SyntheticModel.Llama(scratch.Join("a"), 1, DType.F32, vocabulary: vocabulary);
        SyntheticModel.Llama(scratch.Join("b"), 2, DType.F32, vocabulary: vocabulary);
        return scratch;
    }

    [Fact]
    public void Between_planning_and_merging()
    {
        using var scratch = Scratch(160);
        using var plan = InProcessMerge.Plan(InProcessMerge.Linear(scratch.Join("a"), scratch.Join("b")));
        File.SetLastWriteTimeUtc(scratch.Join("b", "model.safetensors"), DateTime.UtcNow.AddSeconds(1));
        var error = Assert.Throws<EnvironmentException>(() => InProcessMerge.Run(plan, scratch.Join("out"), cancellation: TestContext.Current.CancellationToken));
        Assert.Contains($"{scratch.Join("b", "model.safetensors")}: was changed", error.Message, StringComparison.Ordinal);
        Assert.False(Path.Exists(scratch.Join("out")));
    }

    [Fact]
    public void A_link_to_a_file_is_as_good_as_the_file_and_a_changed_target_is_seen()
    {
        using var scratch = Scratch(160);
        File.SetLastWriteTimeUtc(scratch.Join("b", "model.safetensors"), DateTime.UtcNow.AddDays(-2)); // older than the link
        Directory.CreateDirectory(scratch.Join("link"));
        foreach (var file in Directory.GetFiles(scratch.Join("b")))
            File.CreateSymbolicLink(scratch.Join("link", Path.GetFileName(file)), file);
        InProcessMerge.Run(InProcessMerge.Linear(scratch.Join("a"), scratch.Join("link")), scratch.Join("out"));
        using var plan = InProcessMerge.Plan(InProcessMerge.Linear(scratch.Join("a"), scratch.Join("link")));
        File.SetLastWriteTimeUtc(scratch.Join("b", "model.safetensors"), DateTime.UtcNow);
        Assert.Throws<EnvironmentException>(() => InProcessMerge.Run(plan, scratch.Join("other"), cancellation: TestContext.Current.CancellationToken));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void While_merging(bool cutShort)
    {
        using var scratch = Scratch(200_000);
        using var plan = InProcessMerge.Plan(InProcessMerge.Linear(scratch.Join("a"), scratch.Join("b")));
        var progress = new MergeProgress();
        var merge = Task.Run(() => new MergeRunner(plan, progress).Run(scratch.Join("out"), ResumeMode.Never, _ => new Dictionary<string, string>(), TestContext.Current.CancellationToken), TestContext.Current.CancellationToken);
        SpinWait.SpinUntil(() => progress.Bytes > 0 || merge.IsCompleted);
        using (var file = new FileStream(scratch.Join("b", "model.safetensors"), FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
        {
            if (cutShort)
                file.SetLength(20_000);
            else
                file.WriteByte(1);
        }

        var error = Assert.Throws<AggregateException>(merge.Wait).InnerException;
        Assert.Contains(scratch.Join("b", "model.safetensors"), Assert.IsType<EnvironmentException>(error).Message, StringComparison.Ordinal);
        Assert.False(Path.Exists(scratch.Join("out")));
    }
}
