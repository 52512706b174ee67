namespace MergeKit.Cli.Tests.Conformance;

/// <summary>The merge suite, through the command line. Cases come from the suite's manifest; none is named here.</summary>
[Trait("Suite", "merge")]
public class MergeConformanceTests
{
    public static TheoryData<string> Merges => [.. MergeSuite.Default.Selected.Where(test => !test.IsError).Select(test => test.Name)];

    public static TheoryData<string> Errors => [.. MergeSuite.Default.Selected.Where(test => test.IsError).Select(test => test.Name)];

    [Theory]
    [MemberData(nameof(Merges))]
    public void Gives_the_expected_model(string name)
    {
        var test = Built(name);
        using var scratch = new TemporaryFolder();
        var folder = Run(test, scratch, "out");
        var findings = test.Command == "lora" ? MergeComparison.CompareAdapter(test, folder) : MergeComparison.Compare(test, folder);
        if (test.Compare == "statistics")
            findings.AddRange(CompareSeeds(test, folder, scratch));
        AssertNone(findings);
    }

    [Theory]
    [MemberData(nameof(Errors))]
    public void Says_what_is_wrong(string name)
    {
        var test = Built(name);
        using var scratch = new TemporaryFolder();
        var folder = scratch.Join("out");
        var run = CommandLine.Run(CommandLine.Arguments(test, folder, scratch.Path));
        var findings = new List<string>();
        RefusalCheck.Compare(test.Expect!, test.Messages, run, folder, findings);
        if (run.ExitCode == 0)
            OutputFolder.Read(CommandLine.ResultFolder(test, folder, scratch.Path), null, findings);
        AssertNone(findings, run);
    }

    /// <summary>A random method gives the same bytes for the same seed, and others for another.</summary>
    private static List<string> CompareSeeds(MergeCase test, string folder, TemporaryFolder scratch)
    {
        var findings = new List<string>();
        var again = Run(test, scratch, "again");
        var other = Run(test.WithSeed(test.Option("--random-seed") == "20240229" ? "20240301" : "20240229"), scratch, "other");
        SeedCheck.Compare(folder, again, other, findings);
        return findings;
    }

    private static MergeCase Built(string name)
    {
        var test = MergeSuite.Default.Get(name);
        if (Capabilities.MissingFeature(test.Json, test.RecipeText) is { } feature)
            Assert.Fail($"not built yet: {feature}");
        return test;
    }

    private static string Run(MergeCase test, TemporaryFolder scratch, string to)
    {
        var (folder, temporary) = (scratch.Join(to), Directory.CreateDirectory(scratch.Join(to + "-scratch")).FullName);
        var run = CommandLine.Run(CommandLine.Arguments(test, folder, temporary));
        Assert.True(run.ExitCode == 0, run.ToString());
        return CommandLine.ResultFolder(test, folder, temporary);
    }

    private static void AssertNone(List<string> findings, RunResult? run = null) =>
        Assert.True(findings.Count == 0, string.Join("\n", findings.Take(12).Append(findings.Count > 12 ? $"... and {findings.Count - 12} more" : "")) + $"\n{run}");
}
