using System.Globalization;
using MergeKit.Cli.Display;
using MergeKit.Core.Checkpoints.Writing;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Recipes;
using MergeKit.Core.Recipes.Searching;
using MergeKit.Core.Reports;
using MergeKit.Core.Search.Trials;
using MergeKit.Inference.Runtime;
using MergeKit.Inference.Searching;

namespace MergeKit.Cli.Commands;

/// <summary>Runs a search document: journal and results go to a folder of their own, the winner becomes an ordinary recipe.</summary>
internal sealed class SearchRun(PlanOptions options, DeviceChoice device, ResumeMode resume, RunDisplay display, CancellationToken cancellation)
{
    private const string JournalName = "journal.jsonl";

    /// <summary>Where a run keeps the searches of its recipe file: beside the output.</summary>
    public static string FolderOf(string output, SearchRecipe search) =>
        $"{Path.TrimEndingDirectorySeparator(output)}-search{(search.Name is { } name ? $"-{name}" : "")}";

    /// <summary>Runs a search of a run's file; gives the recipe that it ends in.</summary>
    /// <param name="search">The search.</param>
    /// <param name="output">Where the run's result goes.</param>
    /// <param name="documents">The file's documents, those that the search uses resolved to recipes.</param>
    public Recipe Resolve(SearchRecipe search, string output, IReadOnlyList<IRecipeDocument> documents)
    {
        var winner = Run(search, FolderOf(output, search), documents).Outcome.Winner;
        return RecipeReader.Parse(search.File, Rebased(search.File, winner.Yaml, documents, search.Name))[0] with { Name = search.Name, Location = search.Location };
    }

    /// <summary>Runs one search and writes its folder.</summary>
    /// <param name="search">The search.</param>
    /// <param name="folder">Its folder.</param>
    /// <param name="documents">The file's documents, those that the search uses resolved to recipes.</param>
    public SearchReport Run(SearchRecipe search, string folder, IReadOnlyList<IRecipeDocument> documents)
    {
        if (File.Exists(folder))
            throw new InputException($"{folder}: the search's folder is wanted here, but this is a file");
        var journal = Path.Combine(folder, JournalName);
        if (resume == ResumeMode.Never && File.Exists(journal))
            OutputFolder.WriteFile(journal, "");
        display.Say($"searching ({search.KindName}, at most {search.MostCandidates} candidates)");
        var report = SearchJob.Run(search, new SearchJobOptions
        {
            JournalPath = journal,
            Plan = options,
            Device = device,
            Resolve = path => InputPath.Resolve(path, search.File, options),
            Report = Show,
        }, cancellation) with
        { Before = string.Concat(RecipeSet.BuildOrder(SearchParents.Used(search, documents)).Select(used => Rebased(used.File, used.Yaml, documents, used.Name) + "---\n")) };
        Write(report, folder, trial => report.Before + Rebased(search.File, trial.Yaml, documents));
        return report;
    }

    private string Rebased(string file, string yaml, IReadOnlyList<IRecipeDocument> documents, string? name = null) =>
        RecipePaths.Rebase(file, yaml, options.WorkingDirectory, [.. documents.Select(document => document.Name).OfType<string>()], name);

    private static void Write(SearchReport report, string folder, Func<Trial, string> recipe)
    {
        var head = string.Create(CultureInfo.InvariantCulture,
            $"# {report.Title}: {report.Outcome.Candidates.Count()} tried; the best has the objective {report.Outcome.Winner.Objective:R} on the tuning split.\n");
        OutputFolder.WriteFile(Path.Combine(folder, "winner.yml"), head + recipe(report.Outcome.Winner));
        foreach (var (index, trial) in report.Outcome.Front.Index())
            OutputFolder.WriteFile(Path.Combine(folder, $"front-{index + 1:00}.yml"), string.Create(CultureInfo.InvariantCulture,
                $"# {trial.Label}, losses on the tuning split: {string.Join(", ", report.Outcome.Sets.Zip(trial.Scores.Losses, (set, loss) => FormattableString.Invariant($"{set.Name} {loss:R}")))}\n") + recipe(trial));
        OutputFolder.WriteFile(Path.Combine(folder, "search.json"), SearchJson.Write(report));
        OutputFolder.WriteFile(Path.Combine(folder, "search.html"), SearchHtml.Write(report));
    }

    private void Show(Trial trial, int resumed)
    {
        if (trial.Index < resumed)
            return;
        display.Rewrite(string.Create(CultureInfo.InvariantCulture,
            $"{trial.Role} {trial.Index + 1}: {(trial.Failure is { } why ? $"failed: {why}" : $"{trial.Objective:F5}{(trial.Scores.Complete ? "" : " (given up)")}")}"));
    }
}
