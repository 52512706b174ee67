using System.CommandLine;
using MergeKit.Cli.Display;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Moe;
using MergeKit.Core.Recipes;
using MergeKit.Inference.Ensembles;
using MergeKit.Inference.Runtime;

namespace MergeKit.Cli.Commands;

/// <summary><c>mergekit plan RECIPE</c>: decides everything and reads no tensor data.</summary>
internal static class PlanCommand
{
    private static readonly Argument<string> RecipeFile = new("RECIPE") { Description = "The recipe: a YAML file in mergekit's format." };
    private static readonly Option<string> Output = new("--output", "-o") { Description = "Where the result would go: checks the disk's space.", HelpName = "DIR" };
    private static readonly Option<bool> Summary = new("--summary") { Description = "Leave out the list of tensors." };

    public static Command Create()
    {
        var command = new Command("plan", "Check a recipe and show what each output tensor would be made of, from headers and configurations alone.")
        {
            RecipeFile, Output, Summary, CommonOptions.Device, CommonOptions.Json,
        };
        CommonOptions.AddPlanOptions(command);
        command.SetAction(Execute);
        return command;
    }

    private static int Execute(ParseResult parsed)
    {
        var (output, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
        var file = CommonOptions.Resolve(parsed, parsed.GetValue(RecipeFile)!);
        var documents = RecipeReader.ReadDocuments(file);
        var recipes = RecipeSet.BuildOrder<Recipe>([.. documents.OfType<Recipe>(), .. SearchPlan.Starts(documents, error)]);
        using var decomposer = new ChosenDecomposer(parsed.GetValue(CommonOptions.Device));
        var (executable, shortage, reports) = (true, true, new List<System.Text.Json.Nodes.JsonNode?>());
        foreach (var recipe in recipes)
        {
            if (RecipeSet.UsedBy(recipe, recipes) is { Count: > 0 } used)
            {
                error.WriteLine($"note: document '{recipe.Name ?? "result"}' is planned when it is run: it uses {string.Join(", ", used.Select(other => $"'{other.Name}'"))}, not yet made");
                continue;
            }

            using var plan = RecipePlanner.Plan(recipe, CommonOptions.ToPlanOptions(parsed, parsed.GetValue(Output)) with { Statistics = RecipeStatistics.Later, Decomposer = decomposer });
            executable &= plan.IsExecutable;
            shortage &= plan.Problems.All(problem => problem.Severity != Severity.Error || plan.Shortages.Contains(problem));
            if (parsed.GetValue(CommonOptions.Json))
                reports.Add(PlanReport.Json(plan));
            else if (plan.IsExecutable)
                PlanReport.Print(plan, output, withTensors: !parsed.GetValue(Summary));
            ProblemPrinter.Print(plan.Problems, error);
        }

        ProblemPrinter.Print(decomposer.Notes, error);
        foreach (var ensemble in documents.OfType<EnsembleRecipe>())
        {
            var plan = EnsemblePlan.Of(ensemble, new RecipeScope(file, documents), ModelOptions.Opener(CommonOptions.ToPlanOptions(parsed, null), default, default));
            executable &= plan.IsExecutable;
            shortage &= plan.IsExecutable;
            if (parsed.GetValue(CommonOptions.Json))
                reports.Add(EnsemblePlanReport.Json(plan));
            else if (plan.IsExecutable)
                EnsemblePlanReport.Print(plan, output);
            ProblemPrinter.Print(plan.Problems, error);
        }

        if (DocumentOf.CommandFor(documents) is { } command && recipes.Count == 0)
            error.WriteLine($"note: there is nothing to merge; '{command}' carries this file out");
        if (parsed.GetValue(CommonOptions.Json))
            output.WriteLine(PlanReport.Text(reports));
        return executable ? ExitCodes.Done : shortage ? ExitCodes.Environment : ExitCodes.Input;
    }
}
