using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Recipes;

namespace MergeKit.Core.Merging.Planning;

/// <summary>A model of a recipe with its headers and configuration read.</summary>
public sealed class LoadedModel(ModelReference reference, string folder, Checkpoint checkpoint, ModelConfig? config, IReadOnlyList<WeightSpec> weights)
{
    private const int MostLayers = 1_000_000;

    /// <summary>Keys of a configuration that may hold the number of layers.</summary>
    public static IReadOnlyList<string> CountKeys { get; } = ["num_hidden_layers", "n_layer", "num_layers", "n_layers"];

    /// <summary>How the recipe names it.</summary>
    public ModelReference Reference { get; } = reference;

    /// <summary>Where it lies.</summary>
    public string Folder { get; } = folder;

    /// <summary>A text that opens the same model again: the folder or file, with <c>+adapter</c> where one is folded in.</summary>
    public string Source { get; init; } = folder;

    /// <summary>The earlier document whose result it is; null for stored models.</summary>
    public StageModel? Stage { get; init; }

    /// <summary>Its weights.</summary>
    public Checkpoint Checkpoint { get; } = checkpoint;

    /// <summary>Its configuration; null for raw state dicts.</summary>
    public ModelConfig? Config { get; } = config;

    /// <summary>The tensors it ought to have, in order.</summary>
    public IReadOnlyList<WeightSpec> Weights { get; } = weights;

    /// <summary>Tensors that were taken for some output.</summary>
    public HashSet<string> Used { get; } = new(StringComparer.Ordinal);

    /// <summary>The key of its configuration that holds the number of layers, if there is one.</summary>
    public string? LayerCountKey { get; } = config is null ? null : CountKeys.FirstOrDefault(key => config.Json[key] is not null);

    /// <summary>Number of layers: what the configuration says, else what the names show.</summary>
    public int LayerCount { get; } = CountLayers(config, weights);

    /// <inheritdoc/>
    public override string ToString() => Reference.ToString();

    private static int CountLayers(ModelConfig? config, IReadOnlyList<WeightSpec> weights)
    {
        var key = config is null ? null : CountKeys.FirstOrDefault(name => config.Json[name] is not null);
        var count = key is not null ? config!.RequireInt(key) : weights.Max(weight => (long?)weight.Layer) + 1 ?? 0;
        return count is >= 0 and <= MostLayers ? (int)count
            : throw new InputException($"{config?.File ?? "the tensors' names"}: {(key is null ? "the highest layer number makes" : $"{key} is")} {count} layers; 0 to {MostLayers} are believed");
    }

    /// <summary>The stored tensor for a declared one, under its name or an alias, with the layer number replaced.</summary>
    public TensorInfo? Find(WeightSpec weight, int? layer)
    {
        foreach (var name in weight.AllNames)
            if (Checkpoint.Find(WithLayer(name, layer)) is { } tensor)
                return tensor;
        return null;
    }

    /// <summary>A tensor name with its layer number replaced.</summary>
    public static string WithLayer(string name, int? layer) => layer is { } number ? LayerName.Parse(name).With(number) : name;
}
