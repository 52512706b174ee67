using System.Text.Json.Nodes;
using MergeKit.Core.Merging.Planning.Vocabulary;

namespace MergeKit.Core.Reports;

/// <summary>What a change of vocabulary did, as JSON: <c>{source, tokens, rows, padding, from_base, from_owner, added: [token], averaged: [token], zero: [token],
/// ruled: [token], models: [{model, tokens, kept, moved, dropped, lacking}]}</c>. Lists of tokens end after the first thousand; <c>*_count</c> beside them counts all.</summary>
public static class VocabularyJson
{
    private const int MostTokens = 1000;

    /// <summary>The report as an object.</summary>
    public static JsonObject Of(VocabularyReport report)
    {
        var json = new JsonObject
        {
            ["source"] = report.Source,
            ["tokens"] = report.Tokens,
            ["rows"] = report.Rows,
            ["padding"] = report.Padding,
            ["from_base"] = report.FromBase,
            ["from_owner"] = report.FromOwner,
        };
        foreach (var (name, tokens) in new[] { ("added", report.Added), ("averaged", report.Averaged), ("zero", report.Zero), ("ruled", report.Ruled) })
        {
            json[name + "_count"] = tokens.Count;
            json[name] = new JsonArray([.. tokens.Take(MostTokens).Select(token => JsonValue.Create(token))]);
        }

        json["models"] = new JsonArray([.. report.Models.Select(model => new JsonObject
        {
            ["model"] = model.Model,
            ["tokens"] = model.Tokens,
            ["kept"] = model.Kept,
            ["moved"] = model.Moved,
            ["dropped"] = model.Dropped,
            ["lacking"] = model.Lacking,
        })]);
        return json;
    }
}
