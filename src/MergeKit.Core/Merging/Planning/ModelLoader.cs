using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Inputs;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.Planning;

/// <summary>Opens every model of a recipe once, reading headers and configurations only.</summary>
internal sealed class ModelLoader(PlanOptions options, List<Problem> problems)
{
    private const long MostBlocks = 1_000_000;

    /// <summary>The models that could be opened; what could not is among the problems.</summary>
    public Dictionary<ModelReference, LoadedModel> Load(Recipe recipe)
    {
        var models = new Dictionary<ModelReference, LoadedModel>();
        foreach (var reference in recipe.AllModels())
        {
            try
            {
                if (Refused(reference) is { } refusal)
                    problems.Add(Problem.Error(refusal, reference.Location));
                else
                    models.Add(reference, Open(reference, recipe));
            }
            catch (InputException e)
            {
                problems.AddRange(e.Problems.Select(problem => problem with { Location = problem.Location ?? reference.Location }));
            }
        }

        return models;
    }

    private static string? Refused(ModelReference reference) =>
        reference.OverrideArchitecture is not null ? $"model '{reference}': override_architecture is not built yet" : null;

    private LoadedModel Open(ModelReference reference, Recipe recipe)
    {
        if (options.Raw)
            return OpenRaw(reference, recipe);
        var input = ModelInput.Open(reference, path => Resolve(path, recipe.File));
        var (config, checkpoint) = (input.Config!, input.Checkpoint);
        try
        {
            problems.AddRange(checkpoint.Warnings);
            CheckSize(config);
            var weights = ArchitectureCatalog.Find(config)?.Weights(config) ?? InferredLayout.Weights(checkpoint, config);
            return new LoadedModel(reference, input.Folder, checkpoint, config, weights) { Source = input.Source };
        }
        catch
        {
            checkpoint.Dispose();
            throw;
        }
    }

    private LoadedModel OpenRaw(ModelReference reference, Recipe recipe)
    {
        if (reference.Adapter is not null)
            throw new InputException($"model '{reference}': adapters cannot be folded into raw state dicts (--raw)");
        var folder = ModelInput.Find(reference.Path, reference.Revision, path => Resolve(path, recipe.File));
        var state = Checkpoint.Open(folder);
        problems.AddRange(state.Warnings);
        return new LoadedModel(reference, folder, state, null, [.. state.Tensors.Select(tensor => new WeightSpec(tensor.Name, TensorRole.Other))]);
    }

    /// <summary>A configuration that implies more tensors than any file can hold is not believed, before they are enumerated.</summary>
    private static void CheckSize(ModelConfig config)
    {
        var (layers, experts) = (Counted(config, LoadedModel.LayerCountKeys), Counted(config, ["num_local_experts", "num_experts", "n_routed_experts"]));
        if (layers.Value * Math.Max(1.0, experts.Value) > MostBlocks)
            throw new InputException($"{config.File}: {layers.Key} is {layers.Value}{(experts.Value > 0 ? $" and {experts.Key} is {experts.Value}" : "")}; "
                + $"more than {MostBlocks} layers times experts are not believed");
    }

    private static (string Key, long Value) Counted(ModelConfig config, string[] keys)
    {
        var key = keys.FirstOrDefault(key => config.Json[key] is not null);
        var value = key is null ? 0 : config.RequireInt(key);
        return value >= 0 ? (key ?? "", value) : throw new InputException($"{config.File}: key '{key}' is {value}, a count is wanted");
    }

    /// <summary>An earlier document's result, a path from the working directory, or a path beside the recipe.</summary>
    private string Resolve(string path, string recipeFile)
    {
        if (options.NamedResults.TryGetValue(path, out var result))
            return result;
        var here = Path.Combine(options.WorkingDirectory, path);
        if (Path.Exists(here) || Path.GetDirectoryName(Path.GetFullPath(recipeFile, options.WorkingDirectory)) is not { } beside)
            return Shown(here, path);
        var there = Path.Combine(beside, path);
        return Path.Exists(there) ? there : Shown(here, path);
    }

    private string Shown(string full, string asWritten) =>
        Path.GetFullPath(options.WorkingDirectory) == Path.GetFullPath(Directory.GetCurrentDirectory()) ? asWritten : full;
}
