using System.Text.Json;
using System.Text.Json.Nodes;
using MergeKit.Core.Architectures;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Merging.Planning;

/// <summary>Decides the result's config.json and the files that are copied beside the weights.</summary>
internal static class OutputConfig
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Lists with one entry per layer, which follow the layers.</summary>
    private static readonly string[] PerLayerLists = ["layer_types", "no_rope_layers"];

    /// <summary>Keys that count or number layers and so lose their meaning when layers move.</summary>
    private static readonly string[] LayerNumbers = ["mlp_only_layers", "first_k_dense_replace", "max_window_layers", "sliding_window_pattern", "no_rope_layer_interval", "global_attn_every_n_layers"];

    public static void Decide(MergePlan plan, List<(LoadedModel Model, int Layer)> layers, List<Problem> problems)
    {
        var template = plan.Template!;
        var config = (JsonObject)template.Config!.Json.DeepClone();
        if (template.LayerCountKey is { } key && layers.Count > 0)
            config[key] = layers.Count;
        var moved = layers.Count != template.LayerCount || layers.Where((layer, i) => layer.Layer != i).Any();
        if (moved)
            MoveLayers(config, template, layers, problems);
        SetType(config, plan.Jobs);
        SetVocabulary(config, plan, template);
        if (plan.Vocabulary is { } vocabulary)
            SpecialTokenIds.Renumber(config, plan.Template!, vocabulary, "config.json", problems);
        plan.ConfigJson = Text(config);
        OutputTokenizer.Decide(plan, problems);
    }

    /// <summary>A configuration as it is written.</summary>
    public static string Text(JsonObject config) => config.ToJsonString(Indented);

    /// <summary>The tokenizer and generation files of a model folder: name to path.</summary>
    public static IReadOnlyDictionary<string, string> TokenizerCopies(string folder) =>
        OutputTokenizer.Names.Append("generation_config.json").Select(name => (name, path: Path.Combine(folder, name))).Where(file => File.Exists(file.path)).ToDictionary(file => file.name, file => file.path);

    private static void MoveLayers(JsonObject config, LoadedModel template, List<(LoadedModel Model, int Layer)> layers, List<Problem> problems)
    {
        foreach (var name in PerLayerLists)
            if (config[name] is JsonArray list && list.Count == template.LayerCount)
                config[name] = new JsonArray([.. layers.Select(layer => (layer.Model.Config?.Json[name] as JsonArray)?.ElementAtOrDefault(layer.Layer)?.DeepClone())]);
        foreach (var name in LayerNumbers.Where(name => config[name] is JsonArray { Count: > 0 } || (config[name] is JsonValue value && value.GetValueKind() == JsonValueKind.Number)))
            problems.Add(Problem.Warning($"config key '{name}' refers to layer numbers, but the slices move layers; check it in the result's config.json"));
    }

    /// <summary>States the type that most of the written elements have.</summary>
    private static void SetType(JsonObject config, IReadOnlyList<TensorJob> jobs)
    {
        var type = jobs.Where(job => job.OutputType.IsFloat()).GroupBy(job => job.OutputType).MaxBy(group => group.Sum(job => job.Count))?.Key;
        if (type is { } main)
            config[config.ContainsKey("dtype") && !config.ContainsKey("torch_dtype") ? "dtype" : "torch_dtype"] = main.TorchName();
    }

    /// <summary>A vocabulary of its own or an embedding that was cut change vocab_size; a head that is written beside a tied embedding unties it.</summary>
    private static void SetVocabulary(JsonObject config, MergePlan plan, LoadedModel template)
    {
        if (plan.Vocabulary is { } vocabulary)
        {
            config["vocab_size"] = vocabulary.Rows;
            if (config["text_config"] is JsonObject text && text.ContainsKey("vocab_size"))
                text["vocab_size"] = vocabulary.Rows;
        }

        var embedding = Written(plan, template, TensorRole.Embedding);
        var stored = template.Weights.FirstOrDefault(weight => weight.Role == TensorRole.Embedding) is { } weight ? template.Find(weight, null) : null;
        if (plan.Vocabulary is null && embedding is not null && stored is not null && embedding.Shape[0] != stored.Shape[0] && config["vocab_size"] is not null)
            config["vocab_size"] = embedding.Shape[0];
        if (Written(plan, template, TensorRole.Head) is not null && config["tie_word_embeddings"] is JsonValue tied && tied.GetValueKind() == JsonValueKind.True
            && template.Weights.FirstOrDefault(w => w.Role == TensorRole.Head) is { } head && template.Find(head, null) is null)
            config["tie_word_embeddings"] = false;
    }

    private static TensorJob? Written(MergePlan plan, LoadedModel template, TensorRole role)
    {
        var names = template.Weights.Where(weight => weight.Role == role && weight.Layer is null).SelectMany(weight => weight.AllNames).ToHashSet(StringComparer.Ordinal);
        return plan.Jobs.FirstOrDefault(job => names.Contains(job.Name));
    }
}
