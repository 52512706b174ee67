using System.Text.RegularExpressions;

namespace MergeKit.Cli.Tests.Conformance;

/// <summary>What one command line did.</summary>
internal sealed record RunResult(int ExitCode, string Output, string Error)
{
    /// <summary>The messages of the error stream: one starts at every line that is not indented.</summary>
    public IReadOnlyList<string> Messages =>
        [.. Regex.Split(Error, @"\r?\n(?=\S)").Select(message => message.Trim()).Where(message => message.Length > 0)];

    public override string ToString() => $"exit code {ExitCode}\n--- output\n{Output}\n--- error\n{Error}";
}

/// <summary>Runs a case through the command line, in this process.</summary>
internal static class CommandLine
{
    /// <summary>The arguments for a case; <paramref name="scratch"/> holds whatever the run may leave behind.</summary>
    public static string[] Arguments(MergeCase test, string outFolder, string scratch)
    {
        string[] extra = [.. test.Args.Select(arg => arg.Replace("{tmp}", scratch, StringComparison.Ordinal)), "--working-directory", test.Root];
        return test.Command switch
        {
            "merge" or "moe" => ["run", test.Recipe!, outFolder, .. extra],
            "multi" => ["run", test.Recipe!, outFolder, "-I", Path.Combine(scratch, "stages"), .. extra],
            "raw" => ["run", test.Recipe!, outFolder, "--raw", .. extra],
            "lora" => ["extract-lora", .. extra, "--out-path", outFolder],
            var other => throw new InvalidDataException($"{test.Name}: unknown kind or command '{other}'"),
        };
    }

    /// <summary>The folder that holds what the case compares.</summary>
    public static string ResultFolder(MergeCase test, string outFolder, string scratch) =>
        test.Result is { } name ? Path.Combine(scratch, "stages", name) : outFolder;

    public static RunResult Run(string[] args)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        var code = Application.Run(args, output, error);
        return new RunResult(code, output.ToString(), error.ToString());
    }
}
