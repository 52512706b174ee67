using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Recipes;
using MergeKit.Core.Tokenization;
using MergeKit.Inference.Checking;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Ensembles;

/// <summary>The documents among which a name in a recipe may be found.</summary>
/// <param name="File">The recipe's file.</param>
/// <param name="Documents">Its documents.</param>
public sealed record RecipeScope(string File, IReadOnlyList<IRecipeDocument> Documents);

/// <summary>Opens whatever may stand where a model is wanted: a folder, a hub id, model+adapter, a recipe file, the name of a document.</summary>
/// <param name="plan">Threads, working folder, and the folders of documents that have been carried out.</param>
/// <param name="locate">Turns a model of a recipe, and the recipe's file, into a text that opens it.</param>
/// <param name="device">Where models of folders run.</param>
/// <param name="cancellation">Stops merges in memory.</param>
public sealed class ModelOpener(
    PlanOptions plan, Func<ModelReference, string, string> locate, DeviceChoice device = default, CancellationToken cancellation = default)
{
    private const int DeepestNesting = 8;
    private static readonly string[] RecipeEndings = [".yml", ".yaml"];
    private int _depth;

    /// <summary>Whether a text names a recipe file.</summary>
    public static bool IsRecipe(string path) => RecipeEndings.Contains(Path.GetExtension(path), StringComparer.OrdinalIgnoreCase) && File.Exists(path);

    /// <summary>Where models run unless something else is said.</summary>
    internal DeviceChoice Device => device;

    /// <summary>Where a data file of a recipe lies: from the working folder, or beside the recipe.</summary>
    internal string PathOf(string path, string recipe)
    {
        var here = Path.Combine(plan.WorkingDirectory, path);
        var beside = Path.Combine(Path.GetDirectoryName(Path.GetFullPath(recipe, plan.WorkingDirectory)) ?? "", path);
        return File.Exists(here) || !File.Exists(beside) ? here : beside;
    }

    /// <summary>Opens a model given by a text that leads to it.</summary>
    /// <param name="model">A recipe file, or anything that <see cref="ModelFolder.Open"/> takes.</param>
    /// <param name="name">What to call it.</param>
    /// <param name="share">Where given, stands between a checkpoint's tensors and the model.</param>
    /// <param name="on">Where a folder's model runs, if not where all do.</param>
    /// <exception cref="InputException">It cannot be used.</exception>
    public OpenedModel Open(string model, string name, Func<IWeightSource, IWeightSource>? share = null, DeviceChoice? on = null)
    {
        if (!IsRecipe(model))
            return OpenedModel.Of(ModelFolder.Open(model, name, plan.Threads, on ?? device, share));
        var documents = RecipeReader.ReadDocuments(model);
        var made = documents.Where(document => document is EnsembleRecipe or Recipe).ToList();
        if (made.Count == 0)
            throw new InputException($"{model}: no document of this file makes a model");
        return Open(RecipeSet.Result(made), new RecipeScope(model, documents), name);
    }

    /// <summary>Opens a model as a recipe names it.</summary>
    /// <param name="reference">The name.</param>
    /// <param name="scope">Where it stands.</param>
    /// <param name="name">What to call it.</param>
    /// <param name="share">Where given, stands between a checkpoint's tensors and the model.</param>
    /// <param name="on">Where a folder's model runs, if not where all do.</param>
    /// <exception cref="InputException">It cannot be used.</exception>
    public OpenedModel Open(ModelReference reference, RecipeScope scope, string name, Func<IWeightSource, IWeightSource>? share = null, DeviceChoice? on = null)
    {
        var document = scope.Documents.FirstOrDefault(other => RecipeSet.Names(reference, other));
        if (document is not null && reference.Adapter is null && !(document is Recipe && plan.NamedResults.ContainsKey(document.Name!)))
            return Open(document, scope, name);
        try
        {
            return Open(locate(reference, scope.File), name, share, on);
        }
        catch (InputException e)
        {
            throw new InputException([.. e.Problems.Select(problem => problem.Location is null ? problem with { Location = reference.Location } : problem)]);
        }
    }

    /// <summary>Opens the model that a document makes, without writing anything.</summary>
    /// <param name="document">An ensemble or a merge.</param>
    /// <param name="scope">The documents among which it stands.</param>
    /// <param name="name">What to call it.</param>
    /// <exception cref="InputException">It cannot be used.</exception>
    public OpenedModel Open(IRecipeDocument document, RecipeScope scope, string name)
    {
        if (_depth >= DeepestNesting)
            throw new InputException([Problem.Error($"recipes use each other more than {DeepestNesting} deep, perhaps in a circle", document.Location)]);
        _depth++;
        try
        {
            return document switch
            {
                EnsembleRecipe ensemble => new EnsembleBuilder(this, plan.Threads).Build(ensemble, scope, name),
                Recipe recipe => Merge(recipe, scope, name),
                _ => throw new InputException([Problem.Error($"'{document.Name}' makes no model", document.Location)]),
            };
        }
        finally
        {
            _depth--;
        }
    }

    /// <summary>A merge that has not been written, in memory.</summary>
    private OpenedModel Merge(Recipe recipe, RecipeScope scope, string name)
    {
        var others = scope.Documents.Where(other => other.Name is not null && !plan.NamedResults.ContainsKey(other.Name) && recipe.AllModels().Any(model => RecipeSet.Names(model, other))).ToList();
        if (others.Count > 0)
            throw new InputException([Problem.Error(
                $"'{recipe.Name ?? "the result"}' is merged from '{others[0].Name}', which has not been made; carry the recipe out first (mergekit run --intermediate-dir) and name the folder", recipe.Location)]);
        var merge = MergePlanner.Plan(recipe, plan with { OutputFolder = null });
        try
        {
            var errors = merge.Problems.Where(problem => problem.Severity == Severity.Error).ToList();
            if (errors.Count > 0)
                throw new InputException(errors);
            if (!merge.Copies.TryGetValue("tokenizer.json", out var tokenizerFile))
                throw new InputException([Problem.Error($"'{recipe.Name ?? "the merge"}' has a tokenizer of its own or none; carry the recipe out first (mergekit run) and name the folder", recipe.Location)]);
            var folder = Path.GetDirectoryName(Path.GetFullPath(tokenizerFile))!;
            var tokenizer = Tokenizer.Load(folder);
            var merged = MergedModel.Open(name, merge, threads: plan.Threads, cancellation: cancellation);
            var encoder = new Core.Evaluation.TokenizerEncoder(tokenizer);
            return new OpenedModel(merged.Model, encoder, encoder.Id)
            {
                Tokenizer = tokenizer,
                Folder = folder,
                Warnings = merged.Model.Warnings,
                WeightBytes = merge.OutputBytes,
            }.Own(merge);
        }
        catch
        {
            merge.Dispose();
            throw;
        }
    }
}
