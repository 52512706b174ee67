using System.Text.Json.Nodes;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Merging.Planning.Vocabulary;
using MergeKit.Core.Tokenization;

namespace MergeKit.Core.Merging.Planning;

/// <summary>Gives the token ids of a configuration (<c>bos_token_id</c> and the like) the numbers that their tokens have in the result.</summary>
internal static class SpecialTokenIds
{
    private const string Suffix = "_token_id";

    /// <summary>Renumbers every key that ends in <c>_token_id</c>, a number or a list of numbers; true where something changed.</summary>
    /// <param name="settings">The object; changed in place.</param>
    /// <param name="model">The model whose numbers it holds.</param>
    /// <param name="vocabulary">The result's vocabulary.</param>
    /// <param name="file">The file's name, for messages.</param>
    /// <param name="problems">Gets what could not be done.</param>
    public static bool Renumber(JsonObject settings, LoadedModel model, VocabularyPlan vocabulary, string file, List<Problem> problems)
    {
        if (vocabulary.TokenizerOf(model) is not { } tokenizer || tokenizer == vocabulary.Draft.Source)
            return false;
        var changed = false;
        foreach (var key in settings.Select(pair => pair.Key).Where(key => key.EndsWith(Suffix, StringComparison.Ordinal)).ToList())
        {
            if (settings[key] is not { } value || Renumbered(value, tokenizer, vocabulary) is var renumbered && JsonNode.DeepEquals(renumbered, value))
                continue;
            changed = true;
            settings[key] = renumbered ?? vocabulary.SourceConfig?.Json[key]?.DeepClone();
            if (settings[key] is null)
                problems.Add(Problem.Warning($"{file}: '{key}' is {value.ToJsonString()} in '{model}', whose token the result does not have: the key is null"));
        }

        if (settings["text_config"] is JsonObject text)
            changed |= Renumber(text, model, vocabulary, file, problems);
        return changed;
    }

    /// <summary>The value with new numbers; null where a token is not in the result.</summary>
    private static JsonNode? Renumbered(JsonNode value, Tokenizer tokenizer, VocabularyPlan vocabulary)
    {
        if (value is JsonArray list)
        {
            var ids = list.Select(item => item is null ? null : Renumbered(item, tokenizer, vocabulary)).Where(item => item is not null).ToArray();
            return ids.Length == 0 ? null : new JsonArray(ids);
        }

        if (value is not JsonValue number || !number.TryGetValue<int>(out var id) || tokenizer.IdToToken(id) is not { } token)
            return value.DeepClone(); // -1 and ids of padding rows name no token
        return vocabulary.Draft.Ids.TryGetValue(token, out var mine) ? JsonValue.Create(mine) : null;
    }
}
