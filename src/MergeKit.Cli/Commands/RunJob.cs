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
using MergeKit.Inference.Checking;
using MergeKit.Inference.Runtime;

namespace MergeKit.Cli.Commands;

/// <summary>Carries out the documents of one recipe file, each after those it uses.</summary>
internal sealed class RunJob
{
    private readonly Dictionary<string, StageModel> _inMemory = new(StringComparer.Ordinal);
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
        RequireData();
        if (documents.Any(document => document is SearchRecipe))
            CheckAll([.. documents.OfType<Recipe>().Where(recipe => RecipeSet.UsedBy(recipe, documents).Count == 0)]);
        documents = new SearchRun(Options with { OutputFolder = null }, Device, Resume, display, Cancellation).Resolve(documents, OutputPath);
        _documents = documents;
        var recipes = documents.OfType<Recipe>().ToList();
        if (recipes.Count == 0 && documents.OfType<EnsembleRecipe>().Any())
        {
            Measured = new EnsembleRun(RecipePath, OutputPath, Options, Device, display, Cancellation).Run(documents);
            return [];
        }

        if (recipes.Count == 0)
            throw new InputException($"{RecipePath}: no document with 'merge_method', 'experts' or 'collapse': there is nothing to make{(DocumentOf.CommandFor(documents) is { } command ? $"; '{command}' carries this file out" : "")}");
        var order = RecipeSet.BuildOrder(recipes);
        if (order.Count > 1)
            CheckAll(order);
        var stages = Stages.Open(OutputPath, IntermediatePath, order.Count > 1 ? RecipeSet.Result(recipes) : null, Resume);
        var results = new List<MergeResult>();
        try
        {
            foreach (var recipe in order)
                if (RunOne(recipe, order.Count > 1 ? stages : null, recipe == RecipeSet.Result(recipes), display) is { } result)
                    results.Add(result);
            stages.KeepFinal(OutputPath);
        }
        catch (MergeKitException)
        {
            stages.Clear();
            throw;
        }
        finally
        {
            foreach (var stage in _inMemory.Values)
                stage.Dispose();
        }

        stages.Clear();
        return results;
    }

    /// <summary>Reads the evaluation documents' data before the merge: a slip there must not cost the work.</summary>
    private void RequireData()
    {
        var problems = new List<Problem>();
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

    private MergeResult? RunOne(Recipe recipe, Stages? stages, bool isFinal, RunDisplay display)
    {
        var target = isFinal ? OutputPath : stages!.FolderOf(recipe);
        var options = Options with { NamedResults = stages?.Made ?? Options.NamedResults, NamedModels = _inMemory, OutputFolder = target };
        if (RecipeStatistics.AreWanted(recipe))
        {
            using var first = RecipePlanner.Plan(recipe, options with { Statistics = RecipeStatistics.Later }); // a slip must not cost the recording
            RequireExecutable(first);
        }

        if (!isFinal && IsHeld(recipe))
        {
            Hold(RecipePlanner.Plan(recipe, options with { OutputFolder = null }), display);
            return null;
        }

        using var plan = RecipePlanner.Plan(recipe, options);
        if (!isFinal && stages!.IsMade(recipe, plan))
            return null;
        display.ShowProblems(plan.Problems);
        RequireExecutable(plan);
        var routers = RouterStage.Fill(plan, target, Resume, Device, display, Cancellation);
        var progress = new MergeProgress();
        var runner = new MergeRunner(plan, progress) { WorkFile = routers is null ? null : KeptGates.FileName };
        using (display.Follow(recipe.Name ?? Path.GetFileName(target), progress))
        {
            var result = runner.Run(target, Resume, partial => Companions(plan, routers, partial, isFinal, display), Cancellation);
            display.ShowProblems(result.Problems);
            if (!isFinal)
                stages!.Note(recipe, plan);
            return result;
        }
    }

    /// <summary>Without an intermediate folder, a result that only later merges use is not written.</summary>
    private bool IsHeld(Recipe recipe) => IntermediatePath is null && StageModel.CanHold(recipe)
        && !_evaluations.Any(evaluation => evaluation.Models.Any(model => RecipeSet.Names(model, recipe)));

    private void Hold(MergePlan plan, RunDisplay display)
    {
        try
        {
            display.ShowProblems(plan.Problems);
            RequireExecutable(plan);
            _inMemory.Add(plan.Recipe.Name!, new StageModel(plan));
        }
        catch
        {
            plan.Dispose();
            throw;
        }
    }

    private static void RequireExecutable(MergePlan plan)
    {
        var errors = plan.Problems.Where(problem => problem.Severity == Severity.Error).ToList();
        if (errors.Count > 0 && errors.TrueForAll(plan.Shortages.Contains))
            throw new EnvironmentException(string.Join("; ", errors.Select(error => error.Message)));
        if (errors.Count > 0)
            throw new InputException(errors);
    }

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
