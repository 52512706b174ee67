using System.Text.RegularExpressions;

namespace MergeKit.Cli.Tests.Conformance;

/// <summary>Judges an error case: refused with one message that says what is wrong, and nothing that looks finished left behind.</summary>
internal static partial class RefusalCheck
{
    [GeneratedRegex(@"^\s+at .+\(.*\)|Unhandled exception", RegexOptions.Multiline)]
    private static partial Regex StackTrace();

    public static void Compare(string expect, IReadOnlyList<string> patterns, RunResult run, string outFolder, List<string> findings)
    {
        if (StackTrace().IsMatch(run.Error) || StackTrace().IsMatch(run.Output))
            findings.Add("a stack trace was shown");
        var refused = run.ExitCode != 0;
        switch (expect)
        {
            case "reject" when !refused:
                findings.Add("it was accepted; it must be refused");
                break;
            case "accept" when refused:
                findings.Add("it was refused; it must work");
                break;
            case not ("reject" or "accept" or "either"):
                findings.Add($"unknown expectation '{expect}'");
                break;
        }

        if (refused)
            CheckNothingFinished(outFolder, findings);
        if (expect != "accept" && !run.Messages.Any(message => patterns.All(pattern => Regex.IsMatch(message, pattern, RegexOptions.IgnoreCase))))
            findings.Add($"no message matches all of: {string.Join("  ", patterns)}");
    }

    /// <summary>No weights, index or configuration under a final name.</summary>
    private static void CheckNothingFinished(string folder, List<string> findings)
    {
        if (!Directory.Exists(folder))
            return;
        var finished = Directory.EnumerateFiles(folder).Select(Path.GetFileName)
            .Where(name => name!.EndsWith(".safetensors", StringComparison.Ordinal) || name is "config.json" or "model.safetensors.index.json");
        findings.AddRange(finished.Select(name => $"'{name}' was left in the output folder"));
    }
}
