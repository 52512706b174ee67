namespace MergeKit.Cli;

/// <summary>The command line as a function: arguments in, text out, exit code back.</summary>
public static class Application
{
    /// <summary>Runs one command line. 0: done; 1: the machine refused; 2: the input cannot be used; 3: a gate failed.</summary>
    public static int Run(string[] args, TextWriter output, TextWriter error) => 2;
}
