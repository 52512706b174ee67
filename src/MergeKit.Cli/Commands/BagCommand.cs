using System.CommandLine;
using MergeKit.Core.Workflows;

namespace MergeKit.Cli.Commands;

/// <summary><c>mergekit bag DATA OUT</c>: resamples of training data, one per member of an ensemble.</summary>
internal static class BagCommand
{
    private static readonly Argument<string> Data = new("DATA") { Description = "Training data: JSON lines, one item a line." };
    private static readonly Argument<string> Out = new("OUT") { Description = "The folder to write." };
    private static readonly Option<int> Bags = new("--bags") { Description = "How many resamples, 1 to 1000.", DefaultValueFactory = _ => 5, HelpName = "N" };
    private static readonly Option<int> Seed = new("--seed") { Description = "Decides the draws; the recipe's 'bagging' names it again.", DefaultValueFactory = _ => 0, HelpName = "N" };

    public static Command Create()
    {
        var command = new Command("bag", "Draw bootstrap resamples of training data for bagging; which items each member never sees is written down.") { Data, Out, Bags, Seed };
        command.SetAction(Execute);
        return command;
    }

    private static int Execute(ParseResult parsed)
    {
        var (data, folder, seed) = (CommonOptions.Resolve(parsed, parsed.GetValue(Data)!), Path.GetFullPath(CommonOptions.Resolve(parsed, parsed.GetValue(Out)!)), parsed.GetValue(Seed));
        if (seed < 0)
            throw new Core.Diagnostics.InputException($"--seed is {seed}; wanted a whole number of at least 0");
        var outside = Bagging.Write(data, seed, parsed.GetValue(Bags), folder);
        parsed.InvocationConfiguration.Output.WriteLine($"{folder}: {outside.Count} bags (seed {seed}), out of them {string.Join(", ", outside)} items");
        return ExitCodes.Done;
    }
}
