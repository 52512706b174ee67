using System.CommandLine;
using System.CommandLine.Invocation;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Cli.Display;

/// <summary>What is wrong with a command line, one message a line, with where to look.</summary>
internal static class UsageErrors
{
    /// <summary>Prints what is wrong; false when nothing is.</summary>
    public static bool Print(ParseResult parsed, TextWriter error)
    {
        if (parsed.Action is not ParseErrorAction)
            return false;
        var command = parsed.CommandResult.Command;
        var unknown = parsed.UnmatchedTokens.Select(token => Unknown(command, token));
        var others = parsed.Errors.Select(problem => problem.Message)
            .Where(message => !parsed.UnmatchedTokens.Any(token => message.Contains($"'{token}'", StringComparison.Ordinal)));
        var messages = unknown.Any() && command.Subcommands.Count > 0 ? unknown.Take(1) : unknown.Concat(others);
        foreach (var message in messages.Distinct())
            ProblemPrinter.Print([Problem.Error($"{message.TrimEnd('.', ' ')}; see: {Help(command)}")], error);
        return true;
    }

    private static string Unknown(Command command, string token)
    {
        if (token.StartsWith('-'))
            return $"unknown option '{token}'{Meant(token, command.Options.SelectMany(option => option.Aliases.Append(option.Name)))}";
        return command.Subcommands.Count > 0
            ? $"unknown command '{token}'{Meant(token, command.Subcommands.Select(sub => sub.Name))}"
            : $"unexpected argument '{token}'";
    }

    private static string Meant(string token, IEnumerable<string> candidates) =>
        Spelling.Nearest(token, candidates) is { } near ? $", did you mean '{near}'?" : "";

    private static string Help(Command command) => command is RootCommand ? "mergekit --help" : $"mergekit {command.Name} --help";
}
