using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Inputs;
using MergeKit.Core.Merging.Execution;
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
        foreach (var reference in recipe.AllModels().Where(reference => !recipe.IsTokenizerOnly(reference)))
        {
            try
            {
                models.Add(reference, Open(reference, recipe));
            }
            catch (InputException e)
            {
                problems.AddRange(e.Problems.Select(problem => problem with { Location = problem.Location ?? reference.Location }));
            }
        }

        return models;
    }

    /// <summary>The folder of the model whose tokenizer the recipe asks for; null where it asks for none, or there is no such folder, which is then among the problems.</summary>
    public string? TokenizerFolder(Recipe recipe, Dictionary<ModelReference, LoadedModel> models)
    {
        if (recipe.Tokenizer?.Model is not { } reference)
            return null;
        if (models.TryGetValue(reference, out var model))
            return model.Folder;
        try
        {
            var folder = ModelInput.Find(reference.Path, reference.Revision, path => Resolve(path, recipe.File));
            return ModelInput.TokenizerFolder(folder) ?? (Directory.Exists(folder) ? folder : null) ?? throw new InputException($"model '{reference}' is a file; a folder with tokenizer.json is wanted");
        }
        catch (InputException e)
        {
            var hint = Spelling.Hint(reference.Path, ["union", "base"]);
            problems.AddRange(e.Problems.Select(problem => problem with { Message = $"{problem.Message}{(hint.Length > 0 ? "." : "")}{hint}", Location = reference.Location }));
            return null;
        }
    }

    private LoadedModel Open(ModelReference reference, Recipe recipe)
    {
        if (options.Raw)
            return OpenRaw(reference, recipe);
        var stage = Stage(reference);
        var input = stage?.Lend() ?? ModelInput.Open(reference, path => Resolve(path, recipe.File));
        if (options.Convert is { } convert)
            input = convert(input);
        var checkpoint = input.Checkpoint;
        try
        {
            var config = Named(input.Config!, reference);
            problems.AddRange(checkpoint.Warnings);
            CheckSize(config);
            var architecture = options.Convert is null ? ArchitectureCatalog.Find(config) : null;
            var weights = architecture?.StoredWeights(config, name => checkpoint.Find(name) is not null) ?? InferredLayout.Weights(checkpoint, config);
            return new LoadedModel(reference, input.Folder, checkpoint, config, weights) { Source = input.Source, Stage = stage };
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
        var stage = Stage(reference);
        var folder = stage is null ? ModelInput.Find(reference.Path, reference.Revision, path => Resolve(path, recipe.File)) : "";
        var state = stage?.Lend().Checkpoint ?? Checkpoint.Open(folder);
        problems.AddRange(state.Warnings);
        return new LoadedModel(reference, folder, state, null, [.. state.Tensors.Select(tensor => new WeightSpec(tensor.Name, TensorRole.Other))]) { Stage = stage };
    }

    /// <summary>The configuration, under the architecture's name that the recipe gives in place of its own.</summary>
    private static ModelConfig Named(ModelConfig config, ModelReference reference)
    {
        if (reference.OverrideArchitecture is not { } name)
            return config;
        var known = ArchitectureCatalog.All.SelectMany(architecture => architecture.ClassNames).ToList();
        return known.Contains(name, StringComparer.Ordinal) ? config.WithArchitecture(name)
            : throw new InputException($"override_architecture '{name}' is not known.{Spelling.Hint(name, known)} Known: {string.Join(", ", known)}");
    }

    private StageModel? Stage(ModelReference reference) =>
        reference is { Revision: null, Adapter: null } ? options.NamedModels.GetValueOrDefault(reference.Path) : null;

    /// <summary>A configuration that implies more tensors than any file can hold is not believed, before they are enumerated.</summary>
    private static void CheckSize(ModelConfig config)
    {
        var (layers, experts) = (Counted(config, LoadedModel.CountKeys), Counted(config, ["num_local_experts", "num_experts", "n_routed_experts"]));
        if (layers.Value * Math.Max(1.0, experts.Value) > MostBlocks)
            throw new InputException($"{config.File}: {layers.Key} is {layers.Value}{(experts.Value > 0 ? $" and {experts.Key} is {experts.Value}" : "")}; "
                + $"more than {MostBlocks} layers times experts are not believed");
    }

    private static (string Key, long Value) Counted(ModelConfig config, IReadOnlyList<string> keys)
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
