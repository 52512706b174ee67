using System.Text.RegularExpressions;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Inputs.Adapters;

/// <summary>Sorts an adapter's tensors by module and part, and checks that the parts fit.</summary>
internal sealed partial class AdapterReader(AdapterConfig config, Checkpoint checkpoint)
{
    private const string Prefix = "base_model.model.";
    private readonly List<Problem> _problems = [];

    /// <summary>Names of adapters that stand in names of factors, and PEFT's default one.</summary>
    private readonly HashSet<string> _names = [.. checkpoint.Tensors.Select(tensor => NamedFactor().Match(tensor.Name)).Where(match => match.Success && match.Groups[1].Value is not ("weight" or "bias")).Select(match => match.Groups[1].Value), "default"];

    /// <summary>What follows a module's name, and which part it is. An adapter's own name (<c>default</c>) may stand behind the part.</summary>
    private static readonly (string Marker, string Part)[] Parts =
    [
        (".lora_embedding_A", "EA"), (".lora_embedding_B", "EB"), (".lora_magnitude_vector", "M"), (".lora_A", "A"), (".lora_B", "B"),
    ];

    public (Dictionary<string, AdapterModule> Modules, Dictionary<string, TensorInfo> Whole) Read()
    {
        var parts = new Dictionary<string, Dictionary<string, TensorInfo>>(StringComparer.Ordinal);
        var whole = new Dictionary<string, TensorInfo>(StringComparer.Ordinal);
        foreach (var tensor in checkpoint.Tensors)
        {
            var (module, part) = Take(tensor.Name);
            if (part is null)
                Add(whole, module, tensor);
            else
                Add(parts.TryGetValue(module, out var known) ? known : parts[module] = new(StringComparer.Ordinal), part, tensor);
        }

        var modules = parts.Select(entry => Module(entry.Key, entry.Value)).OfType<AdapterModule>().ToDictionary(module => module.Name, StringComparer.Ordinal);
        if (modules.Count == 0 && whole.Count == 0 && _problems.Count == 0)
            _problems.Add(Problem.Error($"{checkpoint.Path}: holds no adapter tensors"));
        if (_problems.Count > 0)
            throw new InputException(_problems);
        return (modules, whole);
    }

    private void Add(Dictionary<string, TensorInfo> table, string key, TensorInfo tensor)
    {
        if (!table.TryAdd(key, tensor))
            _problems.Add(Problem.Error($"{checkpoint.Path}: '{tensor.Name}' and '{table[key].Name}' are the same part of the same module"));
    }

    private (string Module, string? Part) Take(string name)
    {
        name = name.StartsWith(Prefix, StringComparison.Ordinal) ? name[Prefix.Length..] : name;
        foreach (var (marker, part) in Parts)
            if (name.IndexOf(marker, StringComparison.Ordinal) is > 0 and var at)
            {
                var isBias = name.EndsWith(".bias", StringComparison.Ordinal);
                return (name[..at].Replace(".base_layer", "", StringComparison.Ordinal), isBias ? part + ".bias" : part);
            }

        return (SavedModule().Match(name) is { Success: true } saved && IsAdapterName(saved) ? Plain(name.Remove(saved.Index, saved.Length - 1)) : Plain(name), null);
    }

    /// <summary>The model's name of a saved module's tensor where no adapter's name stands in it.</summary>
    public static string WithoutMarker(string name) => Plain(name.StartsWith(Prefix, StringComparison.Ordinal) ? name[Prefix.Length..] : name);

    private static string Plain(string name) =>
        name.Replace(".base_layer.", ".", StringComparison.Ordinal).Replace(".modules_to_save.", ".", StringComparison.Ordinal);

    /// <summary>Whether what follows <c>modules_to_save</c> is the adapter's name: one that factors have, or any where a weight or bias follows at once.</summary>
    private bool IsAdapterName(Match saved) => _names.Contains(saved.Groups[1].Value) || (_names.Count == 1 && saved.Groups[2].Value is "weight" or "bias");

    [GeneratedRegex(@"\.modules_to_save\.([^.]+)\.(?=([^.]+))", RegexOptions.CultureInvariant)]
    private static partial Regex SavedModule();

    [GeneratedRegex(@"\.lora_(?:A|B|embedding_A|embedding_B|magnitude_vector)\.([^.]+)(?:\.(?:weight|bias))?$", RegexOptions.CultureInvariant)]
    private static partial Regex NamedFactor();

    private AdapterModule? Module(string name, Dictionary<string, TensorInfo> parts)
    {
        var isEmbedding = parts.ContainsKey("EA") || parts.ContainsKey("EB");
        var (nameA, nameB) = isEmbedding ? ("EA", "EB") : ("A", "B");
        var unknown = parts.Keys.Except([nameA, nameB, "M", "B.bias"]).ToList();
        if (!parts.TryGetValue(nameA, out var a) || !parts.TryGetValue(nameB, out var b) || unknown.Count > 0)
            return Wrong(name, $"its parts are {string.Join(", ", parts.Values.Select(tensor => tensor.Name))}; one A and one B are wanted");
        if (a.Shape.Count != 2 || b.Shape.Count != 2)
            return Wrong(name, $"A is {a.ShapeText} and B {b.ShapeText}; only factors of two axes (linear layers and embeddings, no convolutions) can be folded in");
        if (a.Shape[0] != b.Shape[1] || a.Shape[0] < 1)
            return Wrong(name, $"A is {a.ShapeText} and B {b.ShapeText}; the rank, A's first and B's second extent, must be the same");
        if (a.Shape[0] != config.RankOf(name))
            return Wrong(name, $"A is {a.ShapeText}, of rank {a.Shape[0]}, but {AdapterConfig.FileName} gives the module rank {config.RankOf(name)}");
        var magnitude = parts.GetValueOrDefault("M");
        if (config.IsWeightDecomposed != magnitude is not null)
            return Wrong(name, config.IsWeightDecomposed ? "use_dora is set, but the module has no lora_magnitude_vector" : "it has a lora_magnitude_vector, but use_dora is not set");
        if (magnitude is not null && magnitude.ElementCount != b.Shape[0])
            return Wrong(name, $"its lora_magnitude_vector is {magnitude.ShapeText}; {b.Shape[0]} elements, one per {(isEmbedding ? "element of a row" : "output")}, are wanted");
        return new AdapterModule(name, a, b, isEmbedding, config.ScaleOf(name, a.Shape[0])) { Magnitude = magnitude, BiasB = parts.GetValueOrDefault("B.bias") };
    }

    private AdapterModule? Wrong(string module, string what)
    {
        _problems.Add(Problem.Error($"{checkpoint.Path}: module '{module}': {what}"));
        return null;
    }
}
