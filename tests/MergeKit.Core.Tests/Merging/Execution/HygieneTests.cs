using System.Globalization;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Tests.Merging.Execution;

/// <summary>Runs alone, as it looks at the whole process.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public class Alone
{
    /// <summary>The collection's name.</summary>
    public const string Name = "alone";
}

/// <summary>Runs that end well, fail or are stopped leave no open file and no native memory behind, and nothing under the final name.</summary>
[Collection(Alone.Name)]
public class HygieneTests
{
    private const int Runs = 20;
    private const long Leak = 400_000_000;

    private enum End { Done, Failed, Stopped }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void Nothing_stays_open(int end)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "not run: open files and memory are counted in /proc");
        using var scratch = TemporaryFolder.InMemory(50_000_000);
        SyntheticModel.Llama(scratch.Join("a"), 1, DType.F32);
        SyntheticModel.Llama(scratch.Join("b"), 2, DType.F32);
        Once(scratch, (End)end);
        var (files, memory) = (OpenFiles(), VirtualBytes());
        for (var i = 0; i < Runs; i++)
            Once(scratch, (End)end);
        Assert.Equal(files, OpenFiles());
        Assert.InRange(VirtualBytes() - memory, long.MinValue, Leak);
    }

    /// <summary>One run with buffers of 100 MB a worker, so that even a few that are not given back show.</summary>
    private static void Once(TemporaryFolder scratch, End end)
    {
        using var plan = InProcessMerge.Plan(InProcessMerge.Linear(scratch.Join("a"), scratch.Join("b")), new PlanOptions { Threads = 2, ChunkElements = 1 << 22, ShardBytes = 60_000 });
        using var stop = new CancellationTokenSource();
        var runner = new MergeRunner(plan, new MergeProgress());
        Dictionary<string, string> Companions(string _) => end == End.Failed ? throw new EnvironmentException("as if the disk were full") : [];
        if (end == End.Stopped)
            stop.Cancel();
        var error = Record.Exception(() => runner.Run(scratch.Join("out"), ResumeMode.Never, Companions, stop.Token));
        Assert.Equal(end == End.Done, Directory.Exists(scratch.Join("out")));
        Assert.IsType(end switch { End.Failed => typeof(EnvironmentException), End.Stopped => typeof(OperationCanceledException), _ => typeof(object) }, error ?? new object());
        if (end == End.Done)
            Directory.Delete(scratch.Join("out"), recursive: true);
    }

    private static int OpenFiles() => Directory.GetFileSystemEntries("/proc/self/fd").Length;

    private static long VirtualBytes() => 1024 * long.Parse(
        File.ReadLines("/proc/self/status").First(line => line.StartsWith("VmSize:", StringComparison.Ordinal))["VmSize:".Length..].Replace("kB", "", StringComparison.Ordinal).Trim(), CultureInfo.InvariantCulture);
}
