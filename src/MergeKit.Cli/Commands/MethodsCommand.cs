using System.CommandLine;
using System.Globalization;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging;
using MergeKit.Core.Recipes;

namespace MergeKit.Cli.Commands;

/// <summary><c>mergekit methods [NAME]</c>: the methods as they describe themselves.</summary>
internal static class MethodsCommand
{
    private static readonly Argument<string?> Name = new("NAME") { Arity = ArgumentArity.ZeroOrOne, Description = "One method, in full." };

    public static Command Create()
    {
        var command = new Command("methods", "List the merge methods, or explain one.") { Name };
        command.SetAction(parsed =>
        {
            var output = parsed.InvocationConfiguration.Output;
            if (parsed.GetValue(Name) is not { } name)
                foreach (var method in MethodCatalog.All)
                    output.WriteLine($"{method.Description.Name,-16} {method.Description.Summary}");
            else
                Explain(Find(name), output);
        });
        return command;
    }

    private static MergeMethod Find(string name) => MethodCatalog.Find(name) ?? throw new InputException(
        $"there is no merge method '{name}'.{Spelling.Hint(name, MethodCatalog.All.Select(method => method.Description.Name))} "
        + $"Known: {string.Join(", ", MethodCatalog.All.Select(method => method.Description.Name))}");

    private static void Explain(MergeMethod method, TextWriter output)
    {
        output.WriteLine($"{method.Description.Name}: {method.Description.Summary}");
        output.WriteLine($"  formula   {method.Formula}");
        output.WriteLine($"  paper     {method.Paper}");
        output.WriteLine($"  base      {(method.Base == BaseRole.Required ? "base_model is needed" : "base_model, if given, is an input like the others")}");
        output.WriteLine("  parameters");
        foreach (var parameter in method.Description.Parameters)
        {
            var fallback = parameter.Required ? "required" : $"default {Convert.ToString(parameter.Default, CultureInfo.InvariantCulture)}";
            var scope = parameter.Scope == ParameterScope.PerModel ? "per model" : "global";
            output.WriteLine($"    {parameter.Name,-12} {parameter.Type,-8} {scope,-10} {fallback,-14} {parameter.Summary}");
        }
    }
}
