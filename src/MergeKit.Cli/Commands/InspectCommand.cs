using System.CommandLine;

namespace MergeKit.Cli.Commands;

internal static class InspectCommand
{
    public static Command Create() => new("inspect", "Show a model's tensors, norms and health, or how it differs from another.");
}
