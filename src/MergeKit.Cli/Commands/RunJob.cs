using MergeKit.Cli.Display;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Recipes;
using MergeKit.Core.Reports;

namespace MergeKit.Cli.Commands;

/// <summary>Carries out the documents of one recipe file, each after those it uses.</summary>
internal sealed class RunJob
{
    public required string RecipePath { get; init; }

    public required string OutputPath { get; init; }

    public required string? IntermediatePath { get; init; }

    public required PlanOptions Options { get; init; }

    public required ResumeMode Resume { get; init; }

    public required bool HashInputs { get; init; }

    public required bool WriteCard { get; init; }

    public required CancellationToken Cancellation { get; init; }

    /// <summary>Runs every document; the result of the unnamed (or last) one goes to the output folder.</summary>
    public IReadOnlyList<MergeResult> Run(RunDisplay display)
    {
        var recipes = RecipeReader.Read(RecipePath);
        var order = RecipeSet.BuildOrder(recipes);
        var final = RecipeSet.Result(recipes);
        var scratch = IntermediatePath ?? Path.Combine(Path.GetDirectoryName(OutputPath)!, $".{Path.GetFileName(OutputPath)}.mergekit-intermediate");
        var named = new Dictionary<string, string>(StringComparer.Ordinal);
        var results = new List<MergeResult>();
        foreach (var recipe in order)
        {
            var target = recipe == final ? OutputPath : Path.Combine(scratch, recipe.Name!);
            if (recipe != final)
                Directory.CreateDirectory(scratch);
            results.Add(RunOne(recipe, target, named, display));
            if (recipe.Name is { } name)
                named[name] = target;
        }

        KeepFinal(final, order.Count, scratch);
        return results;
    }

    private MergeResult RunOne(Recipe recipe, string target, Dictionary<string, string> named, RunDisplay display)
    {
        using var plan = MergePlanner.Plan(recipe, Options with { NamedResults = named, OutputFolder = target });
        display.ShowProblems(plan.Problems);
        if (!plan.IsExecutable)
            throw new InputException([.. plan.Problems.Where(problem => problem.Severity == Severity.Error)]);
        var progress = new MergeProgress();
        var runner = new MergeRunner(plan, progress);
        using (display.Follow(recipe.Name ?? Path.GetFileName(target), progress))
        {
            var result = runner.Run(target, Resume, () => Companions(plan), Cancellation);
            display.ShowProblems(result.Problems);
            return result;
        }
    }

    private Dictionary<string, string> Companions(MergePlan plan)
    {
        var files = new Dictionary<string, string> { ["mergekit_config.yml"] = plan.Recipe.Yaml };
        if (WriteCard)
            files["README.md"] = ModelCard.Write(plan, Path.GetFileName(OutputPath), HashInputs ? InputHashes.Compute(plan, Cancellation) : null);
        return files;
    }

    /// <summary>With an intermediate folder given, a named result stands there too; without one the intermediates are removed.</summary>
    private void KeepFinal(Recipe final, int documents, string scratch)
    {
        if (IntermediatePath is null)
        {
            if (Directory.Exists(scratch))
                Directory.Delete(scratch, recursive: true);
        }
        else if (documents > 1 && final.Name is { } name)
        {
            var copy = Directory.CreateDirectory(Path.Combine(scratch, name)).FullName;
            foreach (var file in Directory.EnumerateFiles(OutputPath))
                File.Copy(file, Path.Combine(copy, Path.GetFileName(file)));
        }
    }
}
