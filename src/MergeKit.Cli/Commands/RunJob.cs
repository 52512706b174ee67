using MergeKit.Cli.Display;
using MergeKit.Core.Checkpoints.Writing;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Evaluation;
using MergeKit.Core.Evaluation.Data;
using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Moe;
using MergeKit.Core.Moe.Routers;
using MergeKit.Core.Recipes;
using MergeKit.Core.Recipes.Searching;
using MergeKit.Core.Reports;
using MergeKit.Core.Search.Tuning;
using MergeKit.Inference.Checking;
using MergeKit.Inference.Runtime;

namespace MergeKit.Cli.Commands;

/// <summary>Carries out the documents of one recipe file, each after those it uses.</summary>
internal sealed class RunJob
{
    private IReadOnlyList<EvaluationRecipe> _evaluations = [];
    private IReadOnlyList<IRecipeDocument> _documents = [];

    public required string RecipePath { get; init; }

    public required string OutputPath { get; init; }

    public required string? IntermediatePath { get; init; }

    public required PlanOptions Options { get; init; }

    public required ResumeMode Resume { get; init; }

    public required bool HashInputs { get; init; }

    public required bool WriteCard { get; init; }

    /// <summary>How the result is checked; null: not at all.</summary>
    public required CheckOptions? Check { get; init; }

    /// <summary>Where the result is run.</summary>
    public required DeviceChoice Device { get; init; }

    public required CancellationToken Cancellation { get; init; }

    /// <summary>What running the final result showed; null where it was not run.</summary>
    public ResultReview? Review { get; private set; }

    /// <summary>What a file of ensembles alone, which makes no weights, measured.</summary>
    public IReadOnlyList<EvaluationResult> Measured { get; private set; } = [];

    /// <summary>Runs every document; the result of the unnamed (or last) one goes to the output folder.</summary>
    public IReadOnlyList<MergeResult> Run(RunDisplay display)
    {
        var documents = RecipeReader.ReadDocuments(RecipePath);
        OutputFolder.RequireFree(OutputPath);
        _evaluations = [.. documents.OfType<EvaluationRecipe>()];
        RequireData(documents.OfType<SearchRecipe>());
        _documents = documents;
        List<IRecipeDocument> made = [.. documents.Where(document => document is Recipe or SearchRecipe)];
        if (made.Count == 0 && documents.Any(document => document is EnsembleRecipe))
        {
            Measured = new EnsembleRun(RecipePath, OutputPath, Options, Device, display, Cancellation).Run(documents);
            return [];
        }

        if (made.Count == 0)
            throw new InputException($"{RecipePath}: no document with 'merge_method', 'experts' or 'collapse': there is nothing to make{(DocumentOf.CommandFor(documents) is { } command ? $"; '{command}' carries this file out" : "")}");
        SearchParents.Check(documents);
        var order = SearchParents.First(RecipeSet.BuildOrder(made));
        if (order.Count > 1)
            CheckAll([.. documents.OfType<Recipe>().Where(recipe => RecipeSet.UsedBy(recipe, documents).Count == 0)]);
        var stages = Stages.Open(OutputPath, IntermediatePath, order.Count > 1 ? RecipeSet.Result(made) : null, Resume);
        var results = new List<MergeResult>();
        try
        {
            using (var run = new RecipeRun(Options, order.Count > 1 ? stages : null, Resume, display, Cancellation)
            { Device = Device, MayHold = MayHold, Companions = (plan, routers, folder, isFinal) => Companions(plan, routers, folder, isFinal, display) })
                foreach (var document in order)
                    if (run.Make(document as Recipe ?? Search((SearchRecipe)document, run, display), document == RecipeSet.Result(made) ? OutputPath : null) is { } result)
                        results.Add(result);
            stages.KeepFinal(OutputPath);
        }
        catch (MergeKitException)
        {
            stages.Clear();
            throw;
        }

        stages.Clear();
        return results;
    }

    /// <summary>Runs a search and puts the recipe that it ends in into its place among the documents.</summary>
    private Recipe Search(SearchRecipe search, RecipeRun run, RunDisplay display)
    {
        run.Realise(search);
        var winner = new SearchRun(run.Options with { OutputFolder = null }, Device, Resume, display, Cancellation).Resolve(search, OutputPath, _documents);
        _documents = [.. _documents.Select(document => ReferenceEquals(document, search) ? winner : document)];
        return winner;
    }

    /// <summary>Reads the evaluation and search documents' data before the merge: a slip there must not cost the work.</summary>
    private void RequireData(IEnumerable<SearchRecipe> searches)
    {
        List<Problem> problems = [.. searches.SelectMany(search => TuningSets.Check(search, path => InputPath.Resolve(path, search.File, Options)))];
        foreach (var (document, data) in _evaluations.SelectMany(document => document.Data.Select(data => (document, data))))
        {
            try
            {
                DataSetReader.Read(InputPath.Resolve(data.Path, document.File, Options));
            }
            catch (InputException e)
            {
                problems.AddRange(e.Problems.Select(problem => problem with { Location = problem.Location ?? data.Location }));
            }
        }

        if (problems.Count > 0)
            throw new InputException(problems);
    }

    /// <summary>What can be known of the documents before the first one is run, so that a slip in the last does not cost the work on the others.</summary>
    private void CheckAll(IReadOnlyList<Recipe> recipes)
    {
        var errors = new List<Problem>();
        foreach (var recipe in recipes.Where(recipe => RecipeSet.UsedBy(recipe, recipes).Count == 0))
        {
            using var plan = RecipePlanner.Plan(recipe, Options with { Statistics = RecipeStatistics.Later });
            errors.AddRange(plan.Problems.Where(problem => problem.Severity == Severity.Error && !plan.Shortages.Contains(problem)));
        }

        if (errors.Count > 0)
            throw new InputException(errors);
    }

    /// <summary>Without an intermediate folder, a result that only later merges use is not written.</summary>
    private bool MayHold(Recipe recipe) => IntermediatePath is null && !_evaluations.Any(evaluation => evaluation.Models.Any(model => RecipeSet.Names(model, recipe)));

    private Dictionary<string, string> Companions(MergePlan plan, RouterStage? routers, string folder, bool isFinal, RunDisplay display)
    {
        var files = new Dictionary<string, string> { ["mergekit_config.yml"] = plan.Recipe.Yaml };
        if (isFinal && !Options.Raw)
        {
            Review = new ResultReview(plan, folder, Path.GetFileName(OutputPath), Device, display, Cancellation) { Documents = _documents };
            if (Check is not null)
            {
                Review.Check(Check);
                routers?.Survey(folder);
                Review.Routers = routers?.Reports ?? [];
            }

            foreach (var evaluation in _evaluations)
                Review.Evaluate(evaluation);
            Review.AddFiles(files);
        }

        try
        {
            if (WriteCard)
                files["README.md"] = ModelCard.Write(plan, Path.GetFileName(OutputPath), HashInputs ? InputHashes.Compute(plan, Cancellation) : null, Review?.CardSection);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or AggregateException)
        {
            throw new EnvironmentException($"the model card cannot be written: {e.GetBaseException().Message}", e);
        }

        return files;
    }
}
