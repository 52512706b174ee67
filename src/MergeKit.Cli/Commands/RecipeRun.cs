using MergeKit.Cli.Display;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Moe;
using MergeKit.Core.Moe.Routers;
using MergeKit.Core.Recipes;
using MergeKit.Core.Recipes.Searching;
using MergeKit.Inference.Runtime;

namespace MergeKit.Cli.Commands;

/// <summary>Carries out the merge documents of a file one by one. A result that only other documents use is held in memory where that can be, else written among the stages.</summary>
/// <param name="options">Folders, seed, threads and chunks.</param>
/// <param name="stages">Where intermediate results are written; null in a file of one document.</param>
/// <param name="resume">What becomes of an interrupted run's files.</param>
/// <param name="display">Where to report.</param>
/// <param name="cancellation">Stops between steps.</param>
internal sealed class RecipeRun(PlanOptions options, Stages? stages, ResumeMode resume, RunDisplay display, CancellationToken cancellation) : IDisposable
{
    private readonly Dictionary<string, StageModel> _inMemory = new(StringComparer.Ordinal);

    /// <summary>The files beside the weights of a result, made in the folder that is about to be published; the last argument: whether it is the final one.</summary>
    public required Func<MergePlan, RouterStage?, string, bool, Dictionary<string, string>> Companions { get; init; }

    /// <summary>Where models run whose routers' gates are worked out.</summary>
    public required DeviceChoice Device { get; init; }

    /// <summary>Whether a result may stay in memory.</summary>
    public required Func<Recipe, bool> MayHold { get; init; }

    /// <summary>The options for a document that uses the results made so far.</summary>
    public PlanOptions Options => options with { NamedResults = stages?.Made ?? options.NamedResults, NamedModels = _inMemory };

    /// <summary>Makes one document's result.</summary>
    /// <param name="recipe">The document.</param>
    /// <param name="output">The folder of the file's result; null where it is one that others use.</param>
    /// <returns>What was written; null where nothing had to be.</returns>
    public MergeResult? Make(Recipe recipe, string? output)
    {
        var target = output ?? stages!.FolderOf(recipe);
        var own = Options with { OutputFolder = target };
        if (RecipeStatistics.AreWanted(recipe))
        {
            using var first = RecipePlanner.Plan(recipe, own with { Statistics = RecipeStatistics.Later }); // a slip must not cost the recording
            RequireExecutable(first);
        }

        if (output is null && StageModel.CanHold(recipe) && MayHold(recipe))
        {
            Hold(RecipePlanner.Plan(recipe, own with { OutputFolder = null }));
            return null;
        }

        using var plan = RecipePlanner.Plan(recipe, own);
        if (output is null && stages!.IsMade(recipe, plan))
            return null;
        display.ShowProblems(plan.Problems);
        RequireExecutable(plan);
        var routers = RouterStage.Fill(plan, target, resume, Device, display, cancellation);
        var progress = new MergeProgress();
        var runner = new MergeRunner(plan, progress) { WorkFile = routers is null ? null : KeptGates.FileName };
        using (display.Follow(recipe.Name ?? Path.GetFileName(target), progress))
        {
            var result = runner.Run(target, resume, partial => Companions(plan, routers, partial, output is not null), cancellation);
            display.ShowProblems(result.Problems);
            if (output is null)
                stages!.Note(recipe, plan);
            return result;
        }
    }

    /// <summary>Works out the results in memory that a search merges again and again.</summary>
    public void Realise(SearchRecipe search)
    {
        foreach (var stage in search.AllModels().Select(model => _inMemory.GetValueOrDefault(model.Path)).OfType<StageModel>())
        {
            display.Say($"merging '{stage.Name}' in memory");
            stage.Realise(cancellation);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var stage in _inMemory.Values)
            stage.Dispose();
    }

    private void Hold(MergePlan plan)
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
}
