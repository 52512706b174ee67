using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace MergeKit.Cli.Tests.Conformance;

/// <summary>What a recipe's text uses, read without the library: enough to say whether a case is about something built.</summary>
internal sealed class RecipeFeatures
{
    private RecipeFeatures() { }

    /// <summary>Values of <c>merge_method</c>.</summary>
    public List<string> Methods { get; } = [];

    /// <summary>Top-level keys of all documents.</summary>
    public HashSet<string> Keys { get; } = new(StringComparer.Ordinal);

    /// <summary>Every path given as a model, in the order of the text.</summary>
    public List<string> Models { get; } = [];

    /// <summary>The first document's <c>base_model</c>.</summary>
    public string? BaseModel { get; private set; }

    public bool SetsTokenizer => Keys.Contains("tokenizer") || Keys.Contains("tokenizer_source");

    /// <summary>Reads the text; what is no YAML uses no features.</summary>
    public static RecipeFeatures Read(string text)
    {
        var features = new RecipeFeatures();
        var stream = new YamlStream();
        try
        {
            stream.Load(new StringReader(text));
        }
        catch (YamlException)
        {
            return features;
        }

        foreach (var document in stream.Documents)
            features.ReadDocument(document.RootNode);
        return features;
    }

    private void ReadDocument(YamlNode root)
    {
        if (root is not YamlMappingNode map)
            return;
        foreach (var (key, value) in map.Children)
        {
            Keys.Add(key.ToString());
            if (key.ToString() == "merge_method")
                Methods.Add(value.ToString());
            if (key.ToString() == "base_model")
                BaseModel ??= ModelPath(value);
        }

        CollectModels(root, 0);
    }

    private void CollectModels(YamlNode node, int depth)
    {
        if (depth > 32)
            return;
        if (node is YamlSequenceNode list)
            foreach (var item in list.Children)
                CollectModels(item, depth + 1);
        if (node is not YamlMappingNode map)
            return;
        foreach (var (key, value) in map.Children)
            if (key.ToString() is "model" or "base_model" or "source_model" && ModelPath(value) is { } path)
                Models.Add(path);
            else
                CollectModels(value, depth + 1);
    }

    /// <summary>A model is a path, or a mapping <c>{model: {path: ...}, lora: ...}</c>; the latter is written as <c>path+lora</c>.</summary>
    private static string? ModelPath(YamlNode value) => value switch
    {
        YamlScalarNode scalar => scalar.Value,
        YamlMappingNode map when map.Children.TryGetValue("lora", out var lora) && map.Children.TryGetValue("model", out var adapted) => $"{ModelPath(adapted)}+{lora}",
        YamlMappingNode map => map.Children.TryGetValue("path", out var path) ? path.ToString()
            : map.Children.TryGetValue("model", out var model) ? ModelPath(model) : null,
        _ => null,
    };
}
