using System.Text.Json.Nodes;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Checkpoints.Gguf;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Inputs.Adapters;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Inputs;

/// <summary>What a model reference leads to: a folder or file, or a snapshot of the hub's cache, with an adapter folded in where one is named.</summary>
/// <param name="Folder">The folder that holds its tokenizer and other files.</param>
/// <param name="Config">Its configuration; null where there is none.</param>
/// <param name="Checkpoint">Its tensors.</param>
public sealed record ModelInput(string Folder, ModelConfig? Config, Checkpoint Checkpoint) : IDisposable
{
    /// <summary>A text that opens the same model again: a place, with <c>+adapter</c> where one is folded in.</summary>
    public required string Source { get; init; }

    /// <summary>Opens a model given as a text: a path, or <c>path[@revision][+adapter[@revision]]</c> where no such path exists.</summary>
    /// <exception cref="InputException">It cannot be found or used.</exception>
    public static ModelInput Open(string text) => Open(Parse(text), path => path);

    /// <summary>Opens a model.</summary>
    /// <param name="reference">How it is named.</param>
    /// <param name="locate">Turns a path as written into one that can be opened.</param>
    /// <exception cref="InputException">It cannot be found or used.</exception>
    public static ModelInput Open(ModelReference reference, Func<string, string> locate)
    {
        var model = OpenModel(Find(reference.Path, reference.Revision, locate));
        if (reference.Adapter is null)
            return model;
        Adapter adapter;
        try
        {
            adapter = Adapter.Open(Find(reference.Adapter, reference.AdapterRevision, locate));
        }
        catch
        {
            model.Dispose();
            throw;
        }

        var (config, checkpoint) = AdapterFusion.Fuse(model.Config, model.Checkpoint, adapter);
        return new ModelInput(OwnTokenizer(model, adapter) ? adapter.Folder : model.Folder, config, checkpoint) { Source = $"{model.Source}+{adapter.Folder}" };
    }

    /// <summary>The reference that a text means; an existing path is that path, whatever its characters.</summary>
    public static ModelReference Parse(string text)
    {
        var location = new SourceLocation(text, 1, 1);
        if (Path.Exists(text))
            return new ModelReference(text, null, null, null, null, location);
        return ModelReference.TryParse(text, location, out var problem) ?? throw new InputException($"model '{text}': {problem}");
    }

    /// <summary>The folder or file of a path, or the cached snapshot of a hub id.</summary>
    public static string Find(string path, string? revision, Func<string, string> locate)
    {
        var place = locate(path);
        var exists = Path.Exists(place);
        if (exists && revision is null)
            return place;
        if (HubCache.IsId(path))
            return HubCache.Find(path, revision);
        throw new InputException(exists
            ? $"model '{path}@{revision}': a local folder has no revisions; leave out '@{revision}'"
            : $"model '{path}': there is no such folder ({place})");
    }

    /// <inheritdoc/>
    public void Dispose() => Checkpoint.Dispose();

    private static ModelInput OpenModel(string place)
    {
        var isFile = File.Exists(place);
        var folder = isFile ? Path.GetDirectoryName(place) is { Length: > 0 } parent ? parent : "." : place;
        if (isFile && !place.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase))
            throw new InputException($"model '{place}' is a file; a model folder with config.json, or a .gguf file, is wanted (state dicts without a config: --raw)");
        if (!isFile && !Directory.Exists(place))
            throw new InputException($"{place}: there is no such model folder");
        if (!isFile && File.Exists(Path.Combine(place, AdapterConfig.FileName)) && !File.Exists(Path.Combine(place, "config.json")))
            throw new InputException($"{place}: this is a LoRA adapter, not a model: name it behind its model (MODEL+{place})");
        var (config, checkpoint) = (ModelConfig.Read(place), Checkpoint.Open(place));
        try
        {
            return new ModelInput(TokenizerFolder(place) ?? folder, Plain(config, checkpoint), checkpoint) { Source = place };
        }
        catch (InputException e)
        {
            // The weights are of use without it; what wants the tokenizer will not find one.
            var warned = new Checkpoint(checkpoint.Path, checkpoint.Files, checkpoint.Tensors, [.. checkpoint.Warnings, .. e.Problems.Select(problem => Problem.Warning(problem.Message))], checkpoint);
            return new ModelInput(folder, Plain(config, warned), warned) { Source = place };
        }
    }

    /// <summary>The folder with the tokenizer of a model folder or file: beside the weights, or, for a .gguf file without one beside it, in the user's cache,
    /// made of the file's metadata; null where there is none.</summary>
    /// <exception cref="InputException">The file's tokenizer is of a form that is not known.</exception>
    public static string? TokenizerFolder(string place)
    {
        var folder = File.Exists(place) ? Path.GetDirectoryName(Path.GetFullPath(place))! : place;
        if (File.Exists(Path.Combine(folder, "tokenizer.json")))
            return folder;
        if (!File.Exists(place) && (!Directory.Exists(place) || Directory.EnumerateFiles(place, "*.safetensors").Any() || !Directory.EnumerateFiles(place, "*.gguf").Any()))
            return null;
        var file = File.Exists(place) ? place : GgufModel.OnlyFile(place);
        return file.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase) ? GgufTokenizerFiles.Folder(file) : null;
    }

    /// <summary>Decoded weights are not quantised any more, and the configuration must not say so.</summary>
    private static ModelConfig Plain(ModelConfig config, Checkpoint checkpoint)
    {
        if (!config.Json.ContainsKey("quantization_config") || checkpoint.Tensors.All(tensor => tensor.Content is null))
            return config;
        var json = (JsonObject)config.Json.DeepClone();
        json.Remove("quantization_config");
        return ModelConfig.Of(config.File, json);
    }

    private static bool OwnTokenizer(ModelInput model, Adapter adapter) =>
        File.Exists(Path.Combine(adapter.Folder, "tokenizer.json"))
        && adapter.Whole.Any(pair => model.Checkpoint.Find(pair.Key) is { } own && own.Shape.Count == 2 && own.Shape[0] != pair.Value.Shape[0]);
}
