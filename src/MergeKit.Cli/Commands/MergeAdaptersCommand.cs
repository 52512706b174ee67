using System.CommandLine;
using MergeKit.Cli.Display;
using MergeKit.Core.Checkpoints.Writing;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Recipes;
using MergeKit.Inference.Runtime;

namespace MergeKit.Cli.Commands;

/// <summary><c>mergekit merge-adapters RECIPE OUT</c>: LoRA adapters into one.</summary>
internal static class MergeAdaptersCommand
{
    private static readonly Argument<string> RecipeFile = new("RECIPE") { Description = "A recipe whose models are adapter folders; base_model (where the method wants one) is the model they belong to, and counts as zero." };
    private static readonly Argument<string> Output = new("OUT") { Description = "The adapter's folder; must not exist or be empty." };
    private static readonly Option<int?> MaxRank = new("--max-rank") { Description = "The most singular values kept per module. Without it linear and task_arithmetic are concatenated without loss, other methods get the sum of the ranks.", HelpName = "N" };

    public static Command Create()
    {
        var command = new Command("merge-adapters", "Merge LoRA adapters into one adapter, by any method on their exact deltas.")
        {
            RecipeFile, Output, MaxRank, CommonOptions.Seed, CommonOptions.Threads, CommonOptions.Device,
        };
        command.SetAction(Execute);
        return command;
    }

    private static int Execute(ParseResult parsed)
    {
        var (output, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
        using var interrupt = new Interrupt();
        if (parsed.GetValue(MaxRank) is < 1)
            throw new InputException($"--max-rank is {parsed.GetValue(MaxRank)}; at least 1 is wanted");
        var recipes = RecipeReader.Read(CommonOptions.Resolve(parsed, parsed.GetValue(RecipeFile)!));
        if (recipes.Count != 1)
            throw new InputException($"{parsed.GetValue(RecipeFile)}: holds {recipes.Count} merges; one is wanted");
        var target = Path.GetFullPath(CommonOptions.Resolve(parsed, parsed.GetValue(Output)!));
        OutputFolder.RequireFree(target);
        using var decomposer = new ChosenDecomposer(parsed.GetValue(CommonOptions.Device));
        var merge = new AdapterMerge(recipes[0], new PlanOptions { WorkingDirectory = CommonOptions.BaseFolder(parsed), Seed = parsed.GetValue(CommonOptions.Seed), Threads = parsed.GetValue(CommonOptions.Threads), Decomposer = decomposer });
        using var folder = OutputFolder.Prepare(target);
        folder.RemoveAllBut([]);
        var reports = merge.Run(folder, parsed.GetValue(MaxRank), ParallelWork.Loop(parsed.GetValue(CommonOptions.Threads), interrupt.Token), (report, number, count) =>
        {
            interrupt.Token.ThrowIfCancellationRequested();
            ModuleProgress.Show(report.Module, number, count, error);
        });
        folder.WriteText("mergekit_config.yml", recipes[0].Yaml);
        folder.Publish();
        ProblemPrinter.Print([.. merge.Problems, .. decomposer.Notes], error);
        FactoringTable.Print(reports, target, output);
        return ExitCodes.Done;
    }
}
