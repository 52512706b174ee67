using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;
using MergeKit.Core.Diagnostics;
using MergeKit.Core.Tokenization.Added;
using MergeKit.Core.Tokenization.Json;
using MergeKit.Core.Tokenization.Models;

namespace MergeKit.Core.Tokenization.Vocabularies;

/// <summary>Writes the tokenizer.json of a draft: the source's file with other added tokens, vocabulary and merges.</summary>
internal static class TokenizerJsonWriter
{
    private static readonly JsonWriterOptions Format = new() { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>The text of the file.</summary>
    /// <exception cref="InputException">The source has text that cannot be written again (unpaired surrogates).</exception>
    public static string Write(TokenizerDraft draft)
    {
        using var document = JsonText.Parse(draft.Source.File, draft.Source.Text);
        var root = document.RootElement;
        var buffer = new ArrayBufferWriter<byte>(draft.Source.Text.Length + (1 << 16));
        try
        {
            using var json = new Utf8JsonWriter(buffer, Format);
            json.WriteStartObject();
            if (!root.TryGetProperty("added_tokens", out _))
                WriteAdded(json, draft.Added);
            foreach (var member in root.EnumerateObject())
            {
                if (member.NameEquals("added_tokens"))
                    WriteAdded(json, draft.Added);
                else if (member.NameEquals("model"))
                    WriteModel(json, member.Value, draft);
                else
                    member.WriteTo(json);
            }

            json.WriteEndObject();
        }
        catch (InvalidOperationException e)
        {
            throw new InputException($"{draft.Source.File}: holds text that cannot be written again (an unpaired surrogate): {e.Message}", e);
        }

        return System.Text.Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    private static void WriteAdded(Utf8JsonWriter json, IReadOnlyList<AddedToken> tokens)
    {
        json.WriteStartArray("added_tokens");
        foreach (var token in tokens.OrderBy(token => token.Id))
        {
            json.WriteStartObject();
            json.WriteNumber("id", token.Id);
            json.WriteString("content", token.Content);
            json.WriteBoolean("single_word", token.SingleWord);
            json.WriteBoolean("lstrip", token.LStrip);
            json.WriteBoolean("rstrip", token.RStrip);
            json.WriteBoolean("normalized", token.Normalized);
            json.WriteBoolean("special", token.Special);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    private static void WriteModel(Utf8JsonWriter json, JsonElement model, TokenizerDraft draft)
    {
        json.WriteStartObject("model");
        foreach (var member in model.EnumerateObject())
        {
            if (member.NameEquals("vocab") && member.Value.ValueKind == JsonValueKind.Object)
                WriteMap(json, member.Value, draft);
            else if (member.NameEquals("vocab"))
                WriteScores(json, member.Value, draft);
            else if (member.NameEquals("merges") && (draft.IsTrimmed || draft.Merges.Count > 0))
                WriteMerges(json, member.Value, draft);
            else
                member.WriteTo(json);
        }

        json.WriteEndObject();
    }

    private static void WriteMap(Utf8JsonWriter json, JsonElement vocabulary, TokenizerDraft draft)
    {
        json.WriteStartObject("vocab");
        foreach (var member in vocabulary.EnumerateObject())
            if (!draft.IsTrimmed || draft.Ids.ContainsKey(member.Name))
                member.WriteTo(json);
        foreach (var token in Insertions(draft))
            json.WriteNumber(token.Token, token.Id);
        json.WriteEndObject();
    }

    /// <summary>A Unigram vocabulary numbers its pieces by their places.</summary>
    private static void WriteScores(Utf8JsonWriter json, JsonElement vocabulary, TokenizerDraft draft)
    {
        json.WriteStartArray("vocab");
        var kept = vocabulary.EnumerateArray().TakeWhile(item => !draft.IsTrimmed || draft.Ids.ContainsKey(JsonScope.Text(item[0]))).ToList();
        foreach (var item in kept)
            item.WriteTo(json);
        var place = kept.Count;
        foreach (var token in Insertions(draft))
        {
            if (token.Id != place++)
                throw new InputException($"{draft.Source.File}: id {place - 1} is free, so that '{token.Token}' cannot get id {token.Id}: a Unigram vocabulary has no gaps");
            json.WriteStartArray();
            json.WriteStringValue(token.Token);
            json.WriteNumberValue(token.Score);
            json.WriteEndArray();
        }

        json.WriteEndArray();
    }

    private static void WriteMerges(Utf8JsonWriter json, JsonElement merges, TokenizerDraft draft)
    {
        var asText = merges.EnumerateArray().All(item => item.ValueKind == JsonValueKind.String);
        json.WriteStartArray("merges");
        if (draft.IsTrimmed || (asText && draft.Merges.Any(HasBlank)))
        {
            var kept = draft.Source.Merges().Where(merge => !draft.IsTrimmed || Keeps(draft, merge)).Concat(draft.Merges).ToList();
            WriteMerges(json, kept, asText && !kept.Exists(HasBlank));
        }
        else
        {
            foreach (var item in merges.EnumerateArray())
                item.WriteTo(json);
            WriteMerges(json, draft.Merges, asText);
        }

        json.WriteEndArray();
    }

    private static void WriteMerges(Utf8JsonWriter json, IEnumerable<TokenMerge> merges, bool asText)
    {
        foreach (var (left, right) in merges)
        {
            if (asText)
            {
                json.WriteStringValue($"{left} {right}");
                continue;
            }

            json.WriteStartArray();
            json.WriteStringValue(left);
            json.WriteStringValue(right);
            json.WriteEndArray();
        }
    }

    /// <summary>Such a merge cannot be written as one text, whose parts a blank divides.</summary>
    private static bool HasBlank(TokenMerge merge) => merge.Left.Contains(' ', StringComparison.Ordinal) || merge.Right.Contains(' ', StringComparison.Ordinal);

    private static bool Keeps(TokenizerDraft draft, TokenMerge merge) => draft.Ids.ContainsKey(merge.Left) && draft.Ids.ContainsKey(merge.Right)
        && draft.Ids.ContainsKey(merge.Left + merge.Right[(draft.Source.Kind.Prefix?.Length ?? 0)..]);

    /// <summary>The tokens that the model's vocabulary gets, by id. Added tokens are among them where the library, which gives an added token outside the vocabulary the next
    /// free id, would not give them theirs; they are cut out of texts before the model sees them, so that they change nothing there.</summary>
    private static List<ModelToken> Insertions(TokenizerDraft draft)
    {
        var model = draft.Source.ModelVocabulary;
        var kept = draft.IsTrimmed ? model.Ids.Keys.Count(draft.Ids.ContainsKey) : model.Ids.Count;
        var (next, outside, displaced) = (kept + draft.ModelTokens.Count, new List<AddedToken>(), false);
        foreach (var token in draft.Added.OrderBy(token => token.Id))
        {
            if (model.Find(token.Content) is null)
            {
                outside.Add(token);
                displaced |= token.Id != next;
            }

            next = Math.Max(next, token.Id + 1);
        }

        var tokens = draft.ModelTokens.ToList();
        if (displaced)
            tokens.AddRange(outside.Select(token => new ModelToken(token.Content, token.Id, draft.Source.LowestScore)));
        return [.. tokens.OrderBy(token => token.Id)];
    }
}
