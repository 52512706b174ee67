using MergeKit.Cli.Display;
using MergeKit.Core.Checkpoints.Writing;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Evaluation;
using MergeKit.Core.Evaluation.Data;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Recipes;
using MergeKit.Core.Reports;
using MergeKit.Inference.Ensembles;
using MergeKit.Inference.Runtime;

namespace MergeKit.Cli.Commands;

/// <summary>Carries out a recipe that only combines models while they run: there are no weights to write, so its evaluation documents are the work, and
/// the output folder gets the recipe and the reports.</summary>
internal sealed class EnsembleRun(
    string recipePath, string outputPath, PlanOptions options, DeviceChoice device, RunDisplay display, CancellationToken cancellation)
{
    /// <summary>Measures the ensembles beside the models that the evaluation documents name, or beside their members.</summary>
    /// <exception cref="InputException">There is nothing to measure on, or something cannot be used.</exception>
    public IReadOnlyList<EvaluationResult> Run(IReadOnlyList<IRecipeDocument> documents)
    {
        var evaluations = documents.OfType<EvaluationRecipe>().ToList();
        if (evaluations.Count == 0)
            throw new InputException(
                $"{recipePath}: an ensemble is combined while it runs; it has no weights to write. Use the recipe where a model may stand (mergekit evaluate {recipePath} --data FILE, "
                + $"mergekit generate {recipePath} -p TEXT), or add a document with 'evaluate:' and run that");
        var results = evaluations.SelectMany(evaluation => Evaluate(evaluation, documents)).ToList();
        using var folder = OutputFolder.Prepare(outputPath);
        folder.WriteText("mergekit_config.yml", string.Join("---\n", documents.Select(document => document.Yaml)));
        foreach (var (i, result) in results.Index())
        {
            var (report, suffix) = (new EvaluationReport(Path.GetFileName(outputPath), result, [], []), i == 0 ? "" : $"-{i + 1}");
            folder.WriteText($"report{suffix}.json", JsonReport.Write(report));
            folder.WriteText($"report{suffix}.html", HtmlReport.Write(report));
        }

        folder.Publish();
        return results;
    }

    private List<EvaluationResult> Evaluate(EvaluationRecipe recipe, IReadOnlyList<IRecipeDocument> documents)
    {
        var data = recipe.Data.Select(one => (one, set: DataSetReader.Read(InputPath.Resolve(one.Path, recipe.File, options), one.Name))).ToList();
        var models = recipe.Models.Count > 0 ? recipe.Models : Everything(documents);
        var (opener, scope) = (ModelOptions.Opener(options, device, cancellation), new RecipeScope(recipe.File, documents));
        var (opened, problems) = (new List<OpenedModel>(), new List<Problem>());
        try
        {
            foreach (var (model, name) in models.Zip(Names(models)))
            {
                try
                {
                    opened.Add(opener.Open(model, scope, name));
                }
                catch (InputException e)
                {
                    problems.AddRange(e.Problems);
                }
            }

            if (problems.Count > 0)
                throw new InputException(problems);
            display.ShowProblems(opened.SelectMany(model => model.Warnings));
            display.Say("evaluating");
            var defaults = new EvaluationOptions();
            var results = data.GroupBy(pair => pair.one.Limit).Select(group => Evaluator.Run(
                [.. opened.Select(model => model.ForEvaluation())], [.. group.Select(pair => pair.set)],
                defaults with { Limit = group.Key, MaxNewTokens = recipe.MaxNewTokens ?? defaults.MaxNewTokens }, cancellation)).ToList();
            display.ShowProblems(opened.SelectMany(model => model.Remarks()));
            return results;
        }
        finally
        {
            opened.ForEach(model => model.Dispose());
        }
    }

    /// <summary>All named ensembles and all their members; an ensemble without a name is named by the file.</summary>
    private List<ModelReference> Everything(IReadOnlyList<IRecipeDocument> documents) =>
        [.. documents.OfType<EnsembleRecipe>().Select(ensemble => new ModelReference(ensemble.Name ?? recipePath, null, null, null, null, ensemble.Location))
            .Concat(documents.OfType<EnsembleRecipe>().SelectMany(ensemble => ensemble.AllModels())).Distinct()];

    private static IEnumerable<string> Names(IReadOnlyList<ModelReference> models)
    {
        var names = models.Select(model => ModelOptions.NameOf(model.ToString())).ToList();
        return names.Distinct(StringComparer.Ordinal).Count() == names.Count ? names : models.Select(model => model.ToString());
    }
}
