using System.Text.Json.Nodes;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Architectures;

/// <summary>Typed access to a configuration that remembers which keys were understood.</summary>
/// <param name="config">The configuration.</param>
/// <param name="layers">A number of layers in place of the configured one.</param>
internal sealed class ConfigReader(ModelConfig config, int? layers = null)
{
    private const int Limit = 1 << 28;
    private readonly HashSet<string> _understood = new(StringComparer.Ordinal);

    /// <summary>A number of layers in place of the configured one.</summary>
    public int? LayerOverride { get; } = layers;

    /// <summary>The file, for messages.</summary>
    public string File => config.File;

    /// <summary>Whether the key is there and not null.</summary>
    public bool Has(string key) => Node(key) is not null;

    /// <summary>Whether the key is there, null or not.</summary>
    public bool IsStated(string key) => config.Json.ContainsKey(key);

    /// <summary>The value of a key, null where absent; the key counts as understood.</summary>
    public JsonNode? Node(string key)
    {
        _understood.Add(key);
        return config.Json[key];
    }

    /// <summary>Marks keys that say nothing which is not known otherwise.</summary>
    public void Understand(params ReadOnlySpan<string> keys)
    {
        foreach (var key in keys)
            _understood.Add(key);
    }

    /// <summary>A positive integer, or the default where absent.</summary>
    public int Int(string key, int? otherwise = null, int least = 1)
    {
        Understand(key);
        var value = config.GetInt(key) ?? otherwise ?? throw Lacks(key, "an integer");
        return value >= least && value <= Limit ? (int)value : throw Wrong(key, $"an integer from {least} to {Limit}");
    }

    /// <summary>A positive integer, or null where absent.</summary>
    public int? OptionalInt(string key) => Has(key) ? Int(key) : null;

    /// <summary>A finite number, or the default where absent.</summary>
    public double Number(string key, double? otherwise = null)
    {
        Understand(key);
        var value = config.GetDouble(key) ?? otherwise ?? throw Lacks(key, "a number");
        return double.IsFinite(value) ? value : throw Wrong(key, "a finite number");
    }

    /// <summary>A positive number, or null where absent.</summary>
    public float? OptionalPositive(string key)
    {
        if (!Has(key))
            return null;
        var value = Number(key);
        return value > 0 ? (float)value : throw Wrong(key, "a number above 0, or null");
    }

    /// <summary>True or false, or the default where absent.</summary>
    public bool Flag(string key, bool otherwise)
    {
        Understand(key);
        return config.GetBool(key) ?? otherwise;
    }

    /// <summary>A string, or the default where absent.</summary>
    public string Text(string key, string otherwise)
    {
        Understand(key);
        return config.GetString(key) ?? otherwise;
    }

    /// <summary>A list of integers, or null where absent.</summary>
    public IReadOnlyList<int>? Ints(string key) => List<int>(key, "a list of integers");

    /// <summary>A list of strings, or null where absent.</summary>
    public IReadOnlyList<string>? Texts(string key) => List<string>(key, "a list of strings");

    /// <summary>Fails unless the key is absent, null or one of the values.</summary>
    public void Only(string key, params IReadOnlyList<string> values)
    {
        if (Node(key) is { } node && !values.Contains(node.ToJsonString().Trim('"'), StringComparer.Ordinal))
            throw Wrong(key, $"only {string.Join(" or ", values)} is supported");
    }

    /// <summary>An activation, or the default where absent.</summary>
    public Activation Activation(string key, string otherwise) => Text(key, otherwise) switch
    {
        "silu" or "swish" => Architectures.Activation.Silu,
        "gelu" or "gelu_python" => Architectures.Activation.Gelu,
        "gelu_new" or "gelu_pytorch_tanh" or "gelu_fast" or "gelu_accurate" or "gelu_python_tanh" => Architectures.Activation.GeluTanh,
        "quick_gelu" => Architectures.Activation.QuickGelu,
        "relu" => Architectures.Activation.Relu,
        "relu2" => Architectures.Activation.ReluSquared,
        "tanh" => Architectures.Activation.Tanh,
        _ => throw Wrong(key, "known activations: silu, swish, gelu, gelu_new, gelu_pytorch_tanh, gelu_fast, quick_gelu, relu, relu2, tanh"),
    };

    /// <summary>An error that names file, key, value seen and value wanted.</summary>
    public InputException Wrong(string key, string wanted) =>
        new($"{File}: key '{key}' is {config.Json[key]?.ToJsonString() ?? "absent"}: {wanted}");

    /// <summary>Fails where a key is neither understood nor known to change nothing.</summary>
    public void RejectUnknownKeys()
    {
        var problems = config.Json
            .Where(pair => !_understood.Contains(pair.Key) && !NeutralKeys.Contains(pair.Key) && !IsOff(pair.Value))
            .Select(pair => Problem.Error(
                $"{File}: key '{pair.Key}' = {Shorten(pair.Value!.ToJsonString())} is not understood for model type '{config.ModelType}' "
                    + "and may change the result"))
            .ToList();
        if (problems.Count > 0)
            throw new InputException(problems);
    }

    private static bool IsOff(JsonNode? value) => value is null || (value is JsonValue flag && flag.TryGetValue<bool>(out var on) && !on);

    private static string Shorten(string json) => json.Length <= 80 ? json : json[..77] + "...";

    private InputException Lacks(string key, string kind) => new($"{File}: lacks the key '{key}' ({kind})");

    private List<T>? List<T>(string key, string wanted)
    {
        if (Node(key) is not { } node)
            return null;
        if (node is not JsonArray array)
            throw Wrong(key, wanted);
        return [.. array.Select(item => item is JsonValue value && value.TryGetValue<T>(out var result) ? result : throw Wrong(key, wanted))];
    }
}
