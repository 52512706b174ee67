using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using MergeKit.Core.Checkpoints;

namespace MergeKit.Core.Tokenization.Vocabularies;

/// <summary>Edits a tokenizer_config.json.</summary>
internal static class TokenizerSettings
{
    private const string Decoder = "added_tokens_decoder";
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>The file's text for other added tokens or without its chat template; null where nothing of it changes.</summary>
    /// <param name="file">The file.</param>
    /// <param name="draft">The tokenizer whose added tokens it lists; null: they stay.</param>
    /// <param name="dropTemplate">Whether the chat template is taken out, as a file of its own replaces it.</param>
    /// <exception cref="Diagnostics.InputException">The file is not a JSON object.</exception>
    public static string? Edit(string file, TokenizerDraft? draft, bool dropTemplate)
    {
        var settings = ModelConfig.Parse(file, File.ReadAllText(file)).Json;
        var changed = dropTemplate && settings.Remove("chat_template");
        if (draft is { IsChanged: true } && settings.ContainsKey(Decoder))
        {
            settings[Decoder] = List(draft);
            changed = true;
        }

        return changed ? settings.ToJsonString(Indented) : null;
    }

    private static JsonObject List(TokenizerDraft draft) => new(draft.Added.OrderBy(token => token.Id).Select(token => KeyValuePair.Create(
        token.Id.ToString(CultureInfo.InvariantCulture), (JsonNode?)new JsonObject
        {
            ["content"] = token.Content,
            ["lstrip"] = token.LStrip,
            ["normalized"] = token.Normalized,
            ["rstrip"] = token.RStrip,
            ["single_word"] = token.SingleWord,
            ["special"] = token.Special,
        })));
}
