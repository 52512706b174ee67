using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Merging.Planning;

/// <summary>Whether disk and memory suffice.</summary>
internal static class ResourceChecks
{
    private const long RuntimeBytes = 150_000_000;

    public static void Check(MergePlan plan, List<Problem> problems)
    {
        var memory = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        if (plan.WorkingBytes + RuntimeBytes > memory)
            problems.Add(Problem.Error($"{plan.Options.Threads} threads need {plan.WorkingBytes + RuntimeBytes:N0} bytes of memory, but only {memory:N0} are available; use fewer threads (--num-threads)"));
        if (plan.Options.OutputFolder is not { } output || FreeBytes(output) is not { } free)
            return;
        var needed = plan.Layout!.TotalBytes + plan.Copies.Values.Sum(path => new FileInfo(path).Length) + 1_000_000;
        if (needed > free)
            problems.Add(Problem.Error($"the result takes {needed:N0} bytes, but the disk of {output} has only {free:N0} free"));
    }

    private static long? FreeBytes(string folder)
    {
        try
        {
            var existing = Path.GetFullPath(folder);
            while (!Directory.Exists(existing) && Path.GetDirectoryName(existing) is { } parent)
                existing = parent;
            return new DriveInfo(existing).AvailableFreeSpace;
        }
        catch (Exception e) when (e is IOException or ArgumentException or UnauthorizedAccessException)
        {
            return null; // not knowable here; writing will tell
        }
    }
}
