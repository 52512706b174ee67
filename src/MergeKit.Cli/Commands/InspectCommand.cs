using System.CommandLine;
using System.Text.RegularExpressions;
using MergeKit.Cli.Display;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Inspection;

namespace MergeKit.Cli.Commands;

/// <summary><c>mergekit inspect MODEL [--diff OTHER]</c>: a model's tensors in numbers.</summary>
internal static class InspectCommand
{
    private static readonly Argument<string> Model = new("MODEL") { Description = "A model folder or a safetensors file." };
    private static readonly Option<string> Diff = new("--diff") { Description = "Show how the model differs from this one (its base, say).", HelpName = "OTHER" };
    private static readonly Option<bool> Headers = new("--headers") { Description = "Read headers only: no data, so no norms and no differences." };
    private static readonly Option<string> Tensors = new("--tensors") { Description = "Only tensors whose names this regular expression finds.", HelpName = "REGEX" };

    public static Command Create()
    {
        var command = new Command("inspect", "Show a model's tensors, norms and health, or how it differs from another.")
        {
            Model, Diff, Headers, Tensors, CommonOptions.Threads, CommonOptions.Json,
        };
        command.SetAction(Execute);
        return command;
    }

    private static int Execute(ParseResult parsed)
    {
        var (output, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
        using var interrupt = new Interrupt();
        var options = new InspectOptions
        {
            HeadersOnly = parsed.GetValue(Headers),
            Filter = parsed.GetValue(Tensors) is { } pattern ? Filter(pattern) : null,
            Threads = parsed.GetValue(CommonOptions.Threads),
        };
        var other = parsed.GetValue(Diff) is { } path ? CommonOptions.Resolve(parsed, path) : null;
        var model = Inspector.Inspect(CommonOptions.Resolve(parsed, parsed.GetValue(Model)!), other, options, interrupt.Token);
        ProblemPrinter.Print(model.Problems, error);
        if (options.Filter is not null && model.Tensors.Count == 0)
            throw new InputException($"--tensors '{options.Filter}' finds no tensor of {model.Path}");
        if (parsed.GetValue(CommonOptions.Json))
            output.WriteLine(InspectJson.Text(model));
        else
            InspectReport.Print(model, output);
        return ExitCodes.Done;
    }

    private static Regex Filter(string pattern)
    {
        try
        {
            return new Regex(pattern, RegexOptions.CultureInvariant | RegexOptions.NonBacktracking);
        }
        catch (Exception e) when (e is ArgumentException or NotSupportedException)
        {
            throw new InputException($"--tensors '{pattern}' is not a regular expression that can be used: {e.Message}", e);
        }
    }
}
