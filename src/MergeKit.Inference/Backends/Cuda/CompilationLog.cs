using System.Text.RegularExpressions;

namespace MergeKit.Inference.Backends.Cuda;

/// <summary>Reads the assembler's remarks on a kernel.</summary>
/// <param name="Registers">Registers of a thread.</param>
/// <param name="SpillStoreBytes">Bytes stored to local memory for want of registers.</param>
/// <param name="SpillLoadBytes">Bytes loaded from there.</param>
/// <param name="StackBytes">Bytes of stack of a thread.</param>
/// <param name="Remarks">Lines that say wgmma was serialised or a wait, arrive or setmaxnreg was changed (C75xx), and other warnings.</param>
public sealed partial record CompilationLog(int Registers, int SpillStoreBytes, int SpillLoadBytes, int StackBytes, IReadOnlyList<string> Remarks)
{
    [GeneratedRegex(@"Used (\d+) registers")]
    private static partial Regex UsedRegisters();

    [GeneratedRegex(@"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")]
    private static partial Regex Frame();

    [GeneratedRegex(@"\(C75\d\d\)|warning", RegexOptions.IgnoreCase)]
    private static partial Regex Remark();

    /// <summary>Reads a log.</summary>
    public static CompilationLog Parse(string log)
    {
        ArgumentNullException.ThrowIfNull(log);
        var frames = Frame().Matches(log);
        return new CompilationLog(
            UsedRegisters().Matches(log).Select(match => int.Parse(match.Groups[1].Value)).DefaultIfEmpty(0).Max(),
            Sum(frames, 2), Sum(frames, 3), Sum(frames, 1), [.. log.Split('\n').Where(line => Remark().IsMatch(line)).Select(line => line.Trim())]);
    }

    private static int Sum(MatchCollection frames, int group) => frames.Sum(match => int.Parse(match.Groups[group].Value));
}
