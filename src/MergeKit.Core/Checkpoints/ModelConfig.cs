using System.Text.Json;
using System.Text.Json.Nodes;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Checkpoints;

/// <summary>A model's <c>config.json</c>: any JSON object, with typed look-ups that name the file and key when they fail.</summary>
public sealed class ModelConfig
{
    private ModelConfig(string file, JsonObject json) => (File, Json) = (file, json);

    /// <summary>Where it was read from, for messages.</summary>
    public string File { get; }

    /// <summary>The whole object.</summary>
    public JsonObject Json { get; }

    /// <summary>The first of <c>architectures</c>, such as <c>LlamaForCausalLM</c>; null where absent.</summary>
    public string? Architecture => Json["architectures"] is JsonArray { Count: > 0 } list && list[0] is JsonValue value
        && value.TryGetValue<string>(out var name) ? name : null;

    /// <summary>The <c>model_type</c>, such as <c>llama</c>; null where absent.</summary>
    public string? ModelType => GetString("model_type");

    /// <summary>Reads <c>config.json</c> of a model folder or beside a .gguf file, else the metadata of that file.</summary>
    /// <exception cref="InputException">The file is missing or not a JSON object.</exception>
    public static ModelConfig Read(string place)
    {
        var isFile = System.IO.File.Exists(place);
        var folder = isFile ? System.IO.Path.GetDirectoryName(place) ?? "" : place;
        var path = System.IO.Path.Combine(folder, "config.json");
        var exists = System.IO.File.Exists(path);
        if (!exists && isFile && place.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase))
            return Gguf.GgufModel.Config(place);
        if (!exists && Directory.Exists(folder) && Directory.EnumerateFiles(folder, "*.gguf").Any())
            return Gguf.GgufModel.Config(Gguf.GgufModel.OnlyFile(folder));
        if (!exists)
            throw new InputException($"{folder}: has no config.json: not a Hugging Face-style model folder");
        try
        {
            return Parse(path, System.IO.File.ReadAllText(path));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new EnvironmentException($"{path}: cannot be read: {e.Message}", e);
        }
    }

    /// <summary>A configuration that is in memory already; <paramref name="file"/> is named in messages.</summary>
    public static ModelConfig Of(string file, JsonObject json) => Parse(file, json.ToJsonString());

    /// <summary>Parses a configuration; <paramref name="file"/> is named in messages.</summary>
    public static ModelConfig Parse(string file, string json)
    {
        try
        {
            return JsonNode.Parse(json, null, new JsonDocumentOptions { MaxDepth = 64, AllowTrailingCommas = false, AllowDuplicateProperties = false }) is JsonObject root
                ? new ModelConfig(file, root)
                : throw new InputException($"{file}: is not a JSON object");
        }
        catch (JsonException e)
        {
            throw new InputException($"{file}: not valid JSON: {e.Message}", e);
        }
        catch (ArgumentException e)
        {
            throw new InputException($"{file}: {e.Message}", e);
        }
    }

    /// <summary>The same configuration under another architecture's name.</summary>
    public ModelConfig WithArchitecture(string name)
    {
        var json = (JsonObject)Json.DeepClone();
        json["architectures"] = new JsonArray(name);
        return new ModelConfig(File, json);
    }

    /// <summary>A string, or null where the key is absent or null.</summary>
    public string? GetString(string key) => Get<string>(key, "a string");

    /// <summary>An integer, or null where the key is absent or null.</summary>
    public long? GetInt(string key) => Get<long>(key, "an integer", isValue: true);

    /// <summary>A number, or null where the key is absent or null.</summary>
    public double? GetDouble(string key) => Get<double>(key, "a number", isValue: true);

    /// <summary>True or false, or null where the key is absent or null.</summary>
    public bool? GetBool(string key) => Get<bool>(key, "true or false", isValue: true);

    /// <summary>An integer that must be there.</summary>
    public long RequireInt(string key) => GetInt(key) ?? throw new InputException($"{File}: lacks the key '{key}' (an integer)");

    private T? Get<T>(string key, string wanted) where T : class => Json[key] switch
    {
        null => null,
        JsonValue value when value.TryGetValue<T>(out var result) => result,
        var other => throw new InputException($"{File}: key '{key}' is {other.ToJsonString()}, {wanted} is wanted"),
    };

    private T? Get<T>(string key, string wanted, bool isValue) where T : struct => Json[key] switch
    {
        null => null,
        JsonValue value when isValue && value.TryGetValue<T>(out var result) => result,
        var other => throw new InputException($"{File}: key '{key}' is {other.ToJsonString()}, {wanted} is wanted"),
    };
}
