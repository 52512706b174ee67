using MergeKit.Core.Checkpoints.Writing;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Merging.Planning;

/// <summary>Whether disk and memory suffice.</summary>
internal static class ResourceChecks
{
    private const long RuntimeBytes = 150_000_000;

    public static void Check(MergePlan plan, List<Problem> problems)
    {
        plan.Shortages = [.. Find(plan)];
        problems.AddRange(plan.Shortages);
    }

    private static IEnumerable<Problem> Find(MergePlan plan)
    {
        var memory = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        if (plan.WorkingBytes + RuntimeBytes > memory)
            yield return Problem.Error($"{plan.Options.Threads} threads need {plan.WorkingBytes + RuntimeBytes:N0} bytes of memory, but only {memory:N0} are available; use fewer threads (--num-threads)");
        if (plan.Options.OutputFolder is not { } output || FreeBytes(output) is not { } free)
            yield break;
        var needed = plan.Layout!.TotalBytes + plan.Copies.Values.Sum(path => new FileInfo(path).Length) + plan.Texts.Values.Sum(text => (long)System.Text.Encoding.UTF8.GetByteCount(text)) + 1_000_000;
        if (needed > free)
            yield return Problem.Error($"the result takes {needed:N0} bytes, but the disk of {output} has only {free:N0} free");
    }

    /// <summary>What an interrupted run has left is written over, or removed.</summary>
    private static long LeftBytes(string folder)
    {
        var left = new DirectoryInfo(OutputFolder.PartialOf(folder));
        return left.Exists ? left.EnumerateFiles().Sum(file => file.Length) : 0;
    }

    private static long? FreeBytes(string folder)
    {
        try
        {
            var existing = Path.GetFullPath(folder);
            while (!Directory.Exists(existing) && Path.GetDirectoryName(existing) is { } parent)
                existing = parent;
            return new DriveInfo(existing).AvailableFreeSpace + LeftBytes(folder);
        }
        catch (Exception e) when (e is IOException or ArgumentException or UnauthorizedAccessException)
        {
            return null; // not knowable here; writing will tell
        }
    }
}
