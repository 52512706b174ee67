using System.Text.Json;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Templating;

/// <summary>The chat template of a model: how a conversation becomes the text that the model was trained on.</summary>
public sealed class ChatTemplate
{
    private const string TemplateFile = "chat_template.jinja";
    private const string ConfigFile = "tokenizer_config.json";
    private const int MaxFileSize = 4 << 20;

    private static readonly string[] TokenKeys = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

    private readonly IReadOnlyDictionary<string, Template> _templates;

    private ChatTemplate(IReadOnlyDictionary<string, Template> templates, IReadOnlyDictionary<string, string> specialTokens) =>
        (_templates, SpecialTokens) = (templates, specialTokens);

    /// <summary>The special tokens of the tokenizer's configuration by their keys (<c>bos_token</c>, <c>eos_token</c>, ...); templates see them as variables.</summary>
    public IReadOnlyDictionary<string, string> SpecialTokens { get; }

    /// <summary>The names of the templates: <c>default</c>, and others where the model has several (<c>tool_use</c>, <c>rag</c>).</summary>
    public IEnumerable<string> Names => _templates.Keys;

    /// <summary>A template given as text.</summary>
    public static ChatTemplate Parse(string source, TemplateOptions? options = null) => new(
        new Dictionary<string, Template> { ["default"] = Template.Parse(source, options ?? TemplateOptions.Chat) }, new Dictionary<string, string>());

    /// <summary>Reads a model's template: <c>chat_template.jinja</c> and <c>additional_chat_templates/*.jinja</c>, else <c>chat_template</c> in
    /// tokenizer_config.json (a text, or a list of name and template), else chat_template.json. Null when the model has none.
    /// Errors: <see cref="InputException"/> for a file that is not what it should be, <see cref="TemplateException"/> for a template that cannot be read.</summary>
    public static ChatTemplate? Load(string modelFolder, TemplateOptions? options = null)
    {
        options ??= TemplateOptions.Chat;
        var sources = Sources(modelFolder);
        return sources.Count == 0 ? null : new ChatTemplate(
            sources.ToDictionary(pair => pair.Key, pair => Template.Parse(pair.Value.Text, options with { Name = pair.Value.File }), StringComparer.Ordinal),
            Tokens(ReadJson(Path.Combine(modelFolder, ConfigFile))));
    }

    /// <summary>The text of a model's default template, found as <see cref="Load"/> finds it; null where there is none.</summary>
    public static string? DefaultText(string modelFolder) => Sources(modelFolder).TryGetValue("default", out var source) ? source.Text : null;

    private static Dictionary<string, (string Text, string File)> Sources(string modelFolder)
    {
        var sources = new Dictionary<string, (string Text, string File)>(StringComparer.Ordinal);
        if (File.Exists(Path.Combine(modelFolder, TemplateFile)))
            sources["default"] = (ReadText(Path.Combine(modelFolder, TemplateFile)), TemplateFile);
        var additional = Path.Combine(modelFolder, "additional_chat_templates");
        if (Directory.Exists(additional))
            foreach (var file in Directory.EnumerateFiles(additional, "*.jinja").Order(StringComparer.Ordinal))
                sources[Path.GetFileNameWithoutExtension(file)] = (ReadText(file), Path.GetFileName(file));
        foreach (var name in new[] { ConfigFile, "chat_template.json" })
            if (sources.Count == 0)
                foreach (var (template, text) in FromConfig(ReadJson(Path.Combine(modelFolder, name)), name))
                    sources[template] = (text, name);
        return sources;
    }

    private static IEnumerable<(string Name, string Text)> FromConfig(JsonElement? json, string file)
    {
        if (json is not { ValueKind: JsonValueKind.Object } root || !root.TryGetProperty("chat_template", out var value) || value.ValueKind == JsonValueKind.Null)
            return [];
        if (value.ValueKind == JsonValueKind.String)
            return [("default", value.GetString()!)];
        return value.ValueKind == JsonValueKind.Array ? value.EnumerateArray().Select(entry => (Field(entry, "name"), Field(entry, "template"))) : throw Wrong(file, value);

        string Field(JsonElement entry, string key) =>
            entry.ValueKind == JsonValueKind.Object && entry.TryGetProperty(key, out var text) && text.ValueKind == JsonValueKind.String
                ? text.GetString()! : throw Wrong(file, entry);
    }

    /// <summary>Renders a conversation. Errors: <see cref="TemplateException"/>; with <see cref="TemplateException.Raised"/> the template refuses the conversation.</summary>
    /// <param name="messages">A list of messages, each with <c>role</c> and <c>content</c> and whatever else the template reads (JSON or plain values).</param>
    /// <param name="tools">Descriptions of tools, or null.</param>
    /// <param name="addGenerationPrompt">Whether the text ends where the assistant's answer begins.</param>
    /// <param name="variables">Further variables; they win over the special tokens.</param>
    /// <param name="documents">Documents for retrieval templates, or null.</param>
    /// <param name="name">Which template; left out, <c>tool_use</c> when tools are given and the model has it, else <c>default</c>.</param>
    public string Render(
        object messages, object? tools = null, bool addGenerationPrompt = true, IEnumerable<KeyValuePair<string, object?>>? variables = null,
        object? documents = null, string? name = null)
    {
        name ??= tools is not (null or JsonElement { ValueKind: JsonValueKind.Null }) && _templates.ContainsKey("tool_use") ? "tool_use" : "default";
        if (!_templates.TryGetValue(name, out var template))
            throw new InputException($"the model has no chat template '{name}'; it has: {string.Join(", ", _templates.Keys)}");
        var scope = SpecialTokens.ToDictionary(pair => pair.Key, pair => (object?)pair.Value, StringComparer.Ordinal);
        scope["messages"] = messages;
        scope["tools"] = tools;
        scope["documents"] = documents;
        scope["add_generation_prompt"] = addGenerationPrompt;
        foreach (var (key, value) in variables ?? [])
            scope[key] = value;
        return template.Render(scope);
    }

    private static Dictionary<string, string> Tokens(JsonElement? config)
    {
        var tokens = new Dictionary<string, string>(StringComparer.Ordinal);
        if (config is not { ValueKind: JsonValueKind.Object } root)
            return tokens;
        foreach (var key in TokenKeys)
        {
            if (!root.TryGetProperty(key, out var value))
                continue;
            if (value.ValueKind == JsonValueKind.Object && value.TryGetProperty("content", out var content))
                value = content;
            if (value.ValueKind == JsonValueKind.String)
                tokens[key] = value.GetString()!;
        }

        return tokens;
    }

    private static JsonElement? ReadJson(string path)
    {
        if (!File.Exists(path))
            return null;
        try
        {
            using var document = JsonDocument.Parse(ReadText(path, 64 << 20));
            return document.RootElement.Clone();
        }
        catch (JsonException error)
        {
            throw new InputException($"{path}: not valid JSON: {error.Message}", error);
        }
    }

    private static string ReadText(string path, int limit = MaxFileSize)
    {
        try
        {
            return new FileInfo(path).Length <= limit ? File.ReadAllText(path)
                : throw new InputException($"{path}: {new FileInfo(path).Length} bytes, at most {limit} are allowed");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new EnvironmentException($"{path}: cannot be read: {error.Message}", error);
        }
    }

    private static InputException Wrong(string file, JsonElement value) =>
        new($"{file}: 'chat_template' must be a text or a list of {{\"name\", \"template\"}}, got {value.ValueKind}");
}
