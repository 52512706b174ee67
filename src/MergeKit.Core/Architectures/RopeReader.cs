using System.Text.Json.Nodes;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Architectures;

/// <summary>Reads a rotary embedding from either form of configuration: <c>rope_theta</c> with <c>rope_scaling</c>,
/// or <c>rope_parameters</c> (flat, or one object per layer type).</summary>
internal sealed class RopeReader
{
    private const int MaxDim = 1 << 16;
    private static readonly string[] CommonKeys = ["type", "rope_type", "rope_theta", "partial_rotary_factor"];
    private readonly ConfigReader _config;
    private readonly JsonObject? _scaling;
    private readonly string _where;
    private readonly int _maxPositions;

    private RopeReader(ConfigReader config, JsonObject? scaling, string where, int maxPositions) =>
        (_config, _scaling, _where, _maxPositions) = (config, scaling, where, maxPositions);

    /// <summary>Reads the embedding of layers of one type.</summary>
    /// <param name="config">The configuration.</param>
    /// <param name="headDim">Width of a head; a partial rotary factor is taken of it.</param>
    /// <param name="maxPositions">The configured length.</param>
    /// <param name="theta">The base where none is given.</param>
    /// <param name="layerType">The entry of <c>rope_parameters</c> to take, where it has one per layer type.</param>
    /// <param name="partial">The partial rotary factor where <c>rope_parameters</c> gives none.</param>
    /// <param name="ignoreScaling">Whether <c>rope_scaling</c> belongs to other layers.</param>
    public static RopeSpec Read(
        ConfigReader config, int headDim, int maxPositions, double theta, string? layerType = null, double partial = 1, bool ignoreScaling = false)
    {
        var (parameters, where) = Parameters(config, layerType);
        config.Understand("rope_scaling");
        var old = config.Has("rope_scaling");
        if (parameters is not null && old)
            throw config.Wrong("rope_scaling", "it stands beside 'rope_parameters'; only one of them may be given");
        if (parameters is null && old && !ignoreScaling)
            (parameters, where) = (config.Node("rope_scaling") as JsonObject ?? throw config.Wrong("rope_scaling", "an object or null"), "rope_scaling");
        return new RopeReader(config, parameters, where, maxPositions).Read(headDim, theta, partial);
    }

    private static (JsonObject?, string) Parameters(ConfigReader config, string? layerType)
    {
        if (config.Node("rope_parameters") is not { } node)
            return (null, "");
        if (node is not JsonObject all)
            throw config.Wrong("rope_parameters", "an object is wanted");
        if (!all.Any(pair => pair.Value is JsonObject))
            return (all, "rope_parameters");
        return layerType is not null && all[layerType] is JsonObject own
            ? (own, $"rope_parameters.{layerType}")
            : throw config.Wrong("rope_parameters", $"an entry for layer type '{layerType ?? "full_attention"}' is wanted");
    }

    private RopeSpec Read(int headDim, double theta, double partial)
    {
        theta = Number("rope_theta") ?? theta;
        partial = Number("partial_rotary_factor") ?? partial;
        var dim = (int)(headDim * partial);
        if (theta <= 1 || partial is <= 0 or > 1 || dim is < 2 or > MaxDim || dim % 2 != 0)
            throw new InputException($"{_config.File}: a rotary embedding of {dim} of {headDim} elements with base {theta} is not possible");
        var plain = new RopeSpec { Dim = dim, Theta = theta, OriginalLength = _maxPositions };
        var type = Text("rope_type") ?? Text("type") ?? "default";
        return type switch
        {
            "default" => Accept(plain),
            "linear" => Accept(plain with { Scaling = RopeScaling.Linear, Factor = Factor() }, "factor"),
            "dynamic" => Dynamic(plain),
            "yarn" => Yarn(plain),
            "llama3" => Llama3(plain),
            "longrope" or "su" => LongRope(plain),
            _ => throw new InputException(
                $"{_config.File}: key '{_where}' has the type '{type}'; known are default, linear, dynamic, yarn, llama3, longrope"),
        };
    }

    private RopeSpec Dynamic(RopeSpec plain) => Accept(
        plain with { Scaling = RopeScaling.DynamicNtk, Factor = Factor(), OriginalLength = Original() ?? _maxPositions },
        "factor", "original_max_position_embeddings");

    private RopeSpec Yarn(RopeSpec plain)
    {
        var original = Original() ?? _maxPositions;
        var factor = Number("factor") ?? (double)_maxPositions / original;
        double? mscale = Number("mscale"), mscaleAll = Number("mscale_all_dim");
        var magnitude = mscale is > 0 && mscaleAll is > 0
            ? YarnMagnitude(factor, mscale.Value) / YarnMagnitude(factor, mscaleAll.Value)
            : YarnMagnitude(factor, 1);
        var spec = plain with
        {
            Scaling = RopeScaling.Yarn,
            OriginalLength = original,
            Factor = Positive("factor", factor),
            BetaFast = Number("beta_fast") ?? 32,
            BetaSlow = Number("beta_slow") ?? 1,
            Truncate = Flag("truncate") ?? true,
            AttentionFactor = Number("attention_factor") ?? magnitude,
        };
        return Accept(
            spec, "factor", "original_max_position_embeddings", "beta_fast", "beta_slow", "truncate", "attention_factor", "mscale", "mscale_all_dim");
    }

    /// <summary>YaRN's magnitude 0.1 m ln(s) + 1 for a factor s above 1.</summary>
    public static double YarnMagnitude(double factor, double mscale) => factor <= 1 ? 1 : 0.1 * mscale * Math.Log(factor) + 1;

    /// <summary>The square of YaRN's magnitude by <c>mscale_all_dim</c>, a factor on the softmax scale of latent attention; 1 without.</summary>
    public static double LatentScale(ConfigReader config, RopeSpec rope)
    {
        var scaling = (config.Node("rope_parameters") ?? config.Node("rope_scaling")) as JsonObject;
        return rope.Scaling == RopeScaling.Yarn && scaling?["mscale_all_dim"] is JsonValue value && value.TryGetValue<double>(out var mscale) && mscale != 0
            ? Math.Pow(YarnMagnitude(rope.Factor, mscale), 2)
            : 1;
    }

    private RopeSpec Llama3(RopeSpec plain)
    {
        var spec = plain with
        {
            Scaling = RopeScaling.Llama3,
            Factor = Factor(),
            OriginalLength = Original() ?? throw Lacks("original_max_position_embeddings"),
            LowFrequencyFactor = Number("low_freq_factor") ?? throw Lacks("low_freq_factor"),
            HighFrequencyFactor = Number("high_freq_factor") ?? throw Lacks("high_freq_factor"),
        };
        if (spec.LowFrequencyFactor <= 0 || spec.HighFrequencyFactor <= spec.LowFrequencyFactor)
            throw new InputException($"{_config.File}: key '{_where}': 0 < low_freq_factor < high_freq_factor is wanted, "
                + $"seen {spec.LowFrequencyFactor} and {spec.HighFrequencyFactor}");
        return Accept(spec, "factor", "original_max_position_embeddings", "low_freq_factor", "high_freq_factor");
    }

    private RopeSpec LongRope(RopeSpec plain)
    {
        var stated = Original() ?? _config.OptionalInt("original_max_position_embeddings");
        var original = stated ?? _maxPositions;
        var factor = stated is null ? Number("factor") ?? 1 : (double)_maxPositions / original;
        var spec = plain with
        {
            Scaling = RopeScaling.LongRope,
            OriginalLength = original,
            Factor = factor,
            AttentionFactor = Number("attention_factor") ?? (factor <= 1 ? 1 : Math.Sqrt(1 + Math.Log(factor) / Math.Log(original))),
            ShortFactors = Numbers("short_factor", plain.Dim / 2),
            LongFactors = Numbers("long_factor", plain.Dim / 2),
        };
        return Accept(spec, "factor", "original_max_position_embeddings", "attention_factor", "short_factor", "long_factor");
    }

    private RopeSpec Accept(RopeSpec spec, params string[] keys)
    {
        var unknown = _scaling?.Select(pair => pair.Key).FirstOrDefault(key =>
            _scaling[key] is not null && !CommonKeys.Contains(key, StringComparer.Ordinal) && !keys.Contains(key, StringComparer.Ordinal));
        return unknown is null
            ? spec
            : throw new InputException(
                $"{_config.File}: key '{_where}.{unknown}' = {_scaling![unknown]!.ToJsonString()} is not understood and may change the result");
    }

    private double Factor() => Positive("factor", Number("factor") ?? throw Lacks("factor"));

    private double Positive(string key, double value) => value > 0
        ? value
        : throw new InputException($"{_config.File}: key '{_where}.{key}' is {value}; a number above 0 is wanted");

    private int? Original() => Number("original_max_position_embeddings") is { } value
        ? value is >= 1 and <= int.MaxValue ? (int)value : throw Wrong("original_max_position_embeddings", "a positive integer")
        : null;

    private double? Number(string key) => _scaling?[key] switch
    {
        null => null,
        JsonValue value when value.TryGetValue<double>(out var number) && double.IsFinite(number) => number,
        _ => throw Wrong(key, "a number"),
    };

    private bool? Flag(string key) => _scaling?[key] switch
    {
        null => null,
        JsonValue value when value.TryGetValue<bool>(out var flag) => flag,
        _ => throw Wrong(key, "true or false"),
    };

    private string? Text(string key) => _scaling?[key] switch
    {
        null => null,
        JsonValue value when value.TryGetValue<string>(out var text) => text,
        _ => throw Wrong(key, "a string"),
    };

    private List<double> Numbers(string key, int count)
    {
        if (_scaling?[key] is not JsonArray array || array.Count != count)
            throw Wrong(key, $"a list of {count} numbers");
        return [.. array.Select(item => item is JsonValue value && value.TryGetValue<double>(out var number) && number > 0
            ? number
            : throw Wrong(key, "numbers above 0"))];
    }

    private InputException Lacks(string key) => new($"{_config.File}: '{_where}' lacks the key '{key}'");

    private InputException Wrong(string key, string wanted) =>
        new($"{_config.File}: key '{_where}.{key}' is {_scaling?[key]?.ToJsonString() ?? "absent"}; {wanted} is wanted");
}
