using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.CommandLine.Parsing;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Cli.Display;

/// <summary>What is wrong with a command line, one message a line, with where to look.</summary>
internal static class UsageErrors
{
    /// <summary>Prints what is wrong; false when nothing is.</summary>
    public static bool Print(ParseResult parsed, TextWriter error)
    {
        if (parsed.Action is HelpAction || (parsed.Action is not ParseErrorAction && !OptionsTakenForArguments(parsed).Any()))
            return false;
        var command = parsed.CommandResult.Command;
        var messages = Messages(parsed, command).Distinct().ToList();
        foreach (var message in messages)
            ProblemPrinter.Print([Problem.Error($"{message.TrimEnd('.', ' ')}; see: {Help(command)}")], error);
        return messages.Count > 0;
    }

    /// <summary>Unknown words first; then what they may be the cause of only if there are none.</summary>
    private static IEnumerable<string> Messages(ParseResult parsed, Command command)
    {
        var unknown = OptionsTakenForArguments(parsed).Concat(parsed.UnmatchedTokens).Distinct().Select(token => Unknown(command, token)).ToList();
        if (unknown.Count > 0)
            return command.Subcommands.Count > 0 ? unknown.Take(1) : unknown;
        var missing = command.Arguments.Where(argument => argument.Arity.MinimumNumberOfValues > 0 && parsed.GetResult(argument) is not { Tokens.Count: > 0 }).Select(argument => argument.Name).ToList();
        var others = parsed.Errors.Where(problem => problem.SymbolResult is not ArgumentResult { Tokens.Count: 0 } and not CommandResult).Select(problem => problem.Message);
        return missing.Count > 0 ? others.Prepend($"missing {string.Join(" and ", missing)}")
            : command.Subcommands.Count > 0 && parsed.Errors.Count > 0 ? ["a command is wanted"] : parsed.Errors.Select(problem => problem.Message);
    }

    /// <summary>A misspelt option would otherwise become a recipe or a folder; after <c>--</c> such names are meant.</summary>
    private static IEnumerable<string> OptionsTakenForArguments(ParseResult parsed) => parsed.Tokens.Any(token => token.Type == TokenType.DoubleDash) ? []
        : parsed.CommandResult.Children.OfType<ArgumentResult>().SelectMany(argument => argument.Tokens).Select(token => token.Value).Where(value => value.Length > 1 && value[0] == '-');

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
