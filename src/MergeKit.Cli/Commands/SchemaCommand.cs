using System.CommandLine;
using MergeKit.Core.Merging;
using MergeKit.Core.Recipes;

namespace MergeKit.Cli.Commands;

/// <summary><c>mergekit schema</c>: the JSON Schema of recipes, for editors.</summary>
internal static class SchemaCommand
{
    public static Command Create()
    {
        var command = new Command("schema", "Print the JSON Schema of recipes, for editors.");
        command.SetAction(parsed => parsed.InvocationConfiguration.Output.WriteLine(RecipeSchema.ToJson([.. MethodCatalog.All.Select(method => method.Description)])));
        return command;
    }
}
