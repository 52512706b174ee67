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

    /// <summary>Every search document replaced by the recipe that it ends in.</summary>
    public IReadOnlyList<IRecipeDocument> Resolve(IReadOnlyList<IRecipeDocument> documents, string output)
    {
        RefuseResults(documents);
        return [.. documents.Select(document => document is SearchRecipe search ? Winner(search, Run(search, FolderOf(output, search))) : document)];
    }

    /// <summary>Runs one search and writes its folder.</summary>
    public SearchReport Run(SearchRecipe search, string folder)
    {
        if (File.Exists(folder))
            throw new InputException($"{folder}: the search's folder is wanted here, but this is a file");
        var journal = Path.Combine(folder, JournalName);
        if (resume == ResumeMode.Never && File.Exists(journal))
            OutputFolder.WriteFile(journal, "");
        display.Say($"searching ({search.KindName}, at most {search.Candidates} candidates)");
        var report = SearchJob.Run(search, new SearchJobOptions
        {
            JournalPath = journal,
            Plan = options,
            Device = device,
            Resolve = path => InputPath.Resolve(path, search.File, options),
            Report = Show,
        }, cancellation);
        Write(report, folder);
        return report;
    }

    private Recipe Winner(SearchRecipe search, SearchReport report) =>
        RecipeReader.Parse(search.File, Rebased(search, report.Outcome.Winner))[0] with { Name = search.Name, Location = search.Location };

    private string Rebased(SearchRecipe search, Trial trial) => RecipePaths.Rebase(search.File, trial.Yaml, options.WorkingDirectory);

    private void Write(SearchReport report, string folder)
    {
        var head = string.Create(CultureInfo.InvariantCulture,
            $"# {report.Title}: the best of {report.Outcome.Candidates.Count()} candidates, objective {report.Outcome.Winner.Objective:R} on the tuning split.\n");
        OutputFolder.WriteFile(Path.Combine(folder, "winner.yml"), head + Rebased(report.Outcome.Search, report.Outcome.Winner));
        foreach (var (index, trial) in report.Outcome.Front.Index())
            OutputFolder.WriteFile(Path.Combine(folder, $"front-{index + 1:00}.yml"), string.Create(CultureInfo.InvariantCulture,
                $"# {trial.Label}, losses on the tuning split: {string.Join(", ", report.Outcome.Sets.Zip(trial.Scores.Losses, (set, loss) => FormattableString.Invariant($"{set.Name} {loss:R}")))}\n") + Rebased(report.Outcome.Search, trial));
        OutputFolder.WriteFile(Path.Combine(folder, "search.json"), SearchJson.Write(report));
        OutputFolder.WriteFile(Path.Combine(folder, "search.html"), SearchHtml.Write(report));
    }

    /// <summary>A search takes its models from disk: what other documents of the file make does not exist yet when it runs.</summary>
    private static void RefuseResults(IReadOnlyList<IRecipeDocument> documents)
    {
        var problems = (from search in documents.OfType<SearchRecipe>()
                        from model in search.AllModels()
                        where documents.Any(other => other.MakesModel && other.Name is not null && RecipeSet.Names(model, other))
                        select Problem.Error($"model '{model}' is the result of another document; a search needs models on disk: merge that document first", model.Location)).ToList();
        if (problems.Count > 0)
            throw new InputException(problems);
    }

    private void Show(Trial trial, int resumed)
    {
        if (trial.Index < resumed)
            return;
        display.Rewrite(string.Create(CultureInfo.InvariantCulture,
            $"{trial.Role} {trial.Index + 1}: {(trial.Failure is { } why ? $"failed: {why}" : $"{trial.Objective:F5}{(trial.Scores.Complete ? "" : " (given up)")}")}"));
    }
}
