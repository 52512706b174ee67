using System.CommandLine;
using MergeKit.Cli.Display;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Recipes;
using MergeKit.Core.Recipes.Searching;
using MergeKit.Core.Reports;
using MergeKit.Inference.Runtime;

namespace MergeKit.Cli.Commands;

/// <summary><c>mergekit search RECIPE DIR</c>: looks for a merge without writing any model.</summary>
internal static class SearchCommand
{
    private static readonly Argument<string> Recipe = new("RECIPE") { Description = "A YAML file with a 'search' document, or mergekit-evolve's with 'genome' and 'tasks'." };
    private static readonly Argument<string> Folder = new("DIR") { Description = "The folder for the journal, winner.yml, search.json and search.html. A search that was killed goes on there." };
    private static readonly Option<bool> NoResume = new("--no-resume") { Description = "Discard what an interrupted search has left." };

    public static Command Create()
    {
        var command = new Command("search", "Search for a merge in memory; the winner is an ordinary recipe.") { Recipe, Folder, NoResume, CommonOptions.Device, CommonOptions.Seed, CommonOptions.Threads, CommonOptions.ChunkSize, CommonOptions.AllowCrimes, CommonOptions.Json };
        command.SetAction(Execute);
        return command;
    }

    private static int Execute(ParseResult parsed)
    {
        var (output, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
        using var decomposer = new ChosenDecomposer(parsed.GetValue(CommonOptions.Device));
        using var interrupt = new Interrupt();
        var path = CommonOptions.Resolve(parsed, parsed.GetValue(Recipe)!);
        var documents = RecipeReader.ReadDocuments(path);
        if (documents.OfType<SearchRecipe>().ToList() is not [var search])
            throw new InputException($"{path}: has {documents.Count(document => document is SearchRecipe)} documents with 'search' or 'genome'; exactly one is wanted here ('mergekit run' carries out several)");
        SearchParents.Check(documents);
        var (display, resume) = (new RunDisplay(error, parsed.GetValue(CommonOptions.Json)), parsed.GetValue(NoResume) ? ResumeMode.Never : ResumeMode.WhenSame);
        var folder = Path.GetFullPath(CommonOptions.Resolve(parsed, parsed.GetValue(Folder)!));
        using var run = new RecipeRun(CommonOptions.ToPlanOptions(parsed, null) with { Statistics = RecipeStatistics.Now(parsed.GetValue(CommonOptions.Threads), error, interrupt.Token), Decomposer = decomposer },
            Stages.In(Path.Combine(folder, "parents"), resume), resume, display, interrupt.Token)
        { Device = parsed.GetValue(CommonOptions.Device), MayHold = _ => true, Companions = (plan, _, _, _) => new Dictionary<string, string> { ["mergekit_config.yml"] = plan.Recipe.Yaml } };
        foreach (var recipe in RecipeSet.BuildOrder(SearchParents.Used(search, documents)).Cast<Recipe>())
            run.Make(recipe, null);
        run.Realise(search);
        var report = new SearchRun(run.Options, parsed.GetValue(CommonOptions.Device), resume, display, interrupt.Token).Run(search, folder, documents);
        if (parsed.GetValue(CommonOptions.Json))
            output.WriteLine(SearchJson.Write(report).TrimEnd());
        else
            SearchDisplay.Print(report, folder, output);
        return ExitCodes.Done;
    }
}
