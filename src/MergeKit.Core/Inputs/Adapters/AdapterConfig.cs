using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Inputs.Adapters;

/// <summary>A PEFT adapter's <c>adapter_config.json</c>, as far as it decides the weights. Settings that would change them in a way that is not
/// known here are refused by name.</summary>
public sealed class AdapterConfig
{
    /// <summary>Its file name.</summary>
    public const string FileName = "adapter_config.json";

    /// <summary>Keys that change what the stored factors mean when they are set.</summary>
    private static readonly string[] Refused =
    [
        "layer_replication", "target_parameters", "megatron_config", "use_qalora", "alora_invocation_tokens", "trainable_token_indices", "use_bdlora", "monteclora_config",
    ];

    private readonly (Regex Pattern, double Value)[] _ranks, _alphas;
    private readonly ModelConfig _json;

    private AdapterConfig(ModelConfig json)
    {
        var problems = new List<Problem>();
        _json = json;
        Rank = json.GetInt("r") ?? 8;
        Alpha = json.GetDouble("lora_alpha") ?? 8;
        IsRankStabilised = json.GetBool("use_rslora") ?? false;
        IsWeightDecomposed = json.GetBool("use_dora") ?? false;
        IsFanInFanOut = json.GetBool("fan_in_fan_out") ?? false;
        BaseModel = json.GetString("base_model_name_or_path");
        foreach (var key in Refused.Where(key => IsSet(json.Json[key])))
            problems.Add(Problem.Error($"{json.File}: '{key}' is {json.Json[key]!.ToJsonString()}: adapters with this setting are not supported"));
        if (Rank < 1)
            problems.Add(Problem.Error($"{json.File}: r is {Rank}; at least 1 is wanted"));
        (_ranks, _alphas) = (Patterns("rank_pattern", problems), Patterns("alpha_pattern", problems));
        if (problems.Count > 0)
            throw new InputException(problems);
    }

    /// <summary>The rank of modules without one of their own.</summary>
    public long Rank { get; }

    /// <summary>The scale's numerator for modules without one of their own.</summary>
    public double Alpha { get; }

    /// <summary>Whether the scale is alpha / sqrt(r) (Kalajdzievski 2023, "A rank stabilization scaling factor for fine-tuning with LoRA").</summary>
    public bool IsRankStabilised { get; }

    /// <summary>Whether magnitudes are stored apart from directions (Liu et al. 2024, "DoRA: weight-decomposed low-rank adaptation").</summary>
    public bool IsWeightDecomposed { get; }

    /// <summary>Whether the adapted weights are stored [in, out], as in GPT-2.</summary>
    public bool IsFanInFanOut { get; }

    /// <summary>The model it was trained on, as the adapter names it.</summary>
    public string? BaseModel { get; }

    /// <summary>Reads the configuration of an adapter folder.</summary>
    /// <exception cref="InputException">It is missing, of another kind than LoRA, or has settings that are not supported.</exception>
    public static AdapterConfig Read(string folder)
    {
        var path = Path.Combine(folder, FileName);
        if (!File.Exists(path))
            throw new InputException($"{folder}: has no {FileName}: not a PEFT adapter");
        try
        {
            var json = ModelConfig.Parse(path, File.ReadAllText(path));
            var kind = json.GetString("peft_type");
            if (kind != "LORA")
                throw new InputException($"{path}: peft_type is {(kind is null ? "absent" : $"'{kind}'")}; only LORA (with rsLoRA and DoRA) can be folded into a model");
            return new AdapterConfig(json);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new EnvironmentException($"{path}: cannot be read: {e.Message}", e);
        }
    }

    /// <summary>The rank that a module should have.</summary>
    public long RankOf(string module) => (long)(Find(_ranks, module) ?? Rank);

    /// <summary>The factor of B A: alpha / r, or alpha / sqrt(r).</summary>
    public double ScaleOf(string module, long rank) => (Find(_alphas, module) ?? Alpha) / (IsRankStabilised ? Math.Sqrt(rank) : rank);

    private static double? Find((Regex Pattern, double Value)[] patterns, string module)
    {
        foreach (var (pattern, value) in patterns)
            if (pattern.IsMatch(module))
                return value;
        return null;
    }

    /// <summary>PEFT's rule: a key is a regular expression that the end of the module's name must match, after a dot or the beginning.</summary>
    private (Regex, double)[] Patterns(string key, List<Problem> problems)
    {
        if (_json.Json[key] is not { } node)
            return [];
        var patterns = new List<(Regex, double)>();
        if (node is not JsonObject map)
        {
            problems.Add(Problem.Error($"{_json.File}: '{key}' is {node.ToJsonString()}; a mapping of module patterns to numbers is wanted"));
            return [];
        }

        foreach (var (pattern, value) in map)
            try
            {
                patterns.Add((new Regex($@"^(.*\.)?({pattern})$", RegexOptions.CultureInvariant | RegexOptions.NonBacktracking), value!.GetValue<double>()));
            }
            catch (Exception e) when (e is ArgumentException or NotSupportedException or InvalidOperationException or FormatException or NullReferenceException)
            {
                problems.Add(Problem.Error($"{_json.File}: {key} '{pattern}: {value?.ToJsonString()}' cannot be used: a regular expression and a number are wanted"));
            }

        return [.. patterns];
    }

    private static bool IsSet(JsonNode? node) => node switch
    {
        null => false,
        JsonArray list => list.Count > 0,
        JsonObject map => map.Count > 0,
        JsonValue value when value.TryGetValue<bool>(out var flag) => flag,
        _ => true,
    };
}
