using System.Globalization;
using System.Text.Json.Nodes;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Core.Tokenization;

/// <summary>The bytes that each token stands for: byte-level vocabularies, and those in the manner of SentencePiece.</summary>
public static class TokenBytes
{
    /// <summary>The bytes by id; null for ids that are unused or special.</summary>
    /// <exception cref="InputException">The tokenizer's decoder joins tokens in another way than one after the other.</exception>
    public static byte[]?[] Of(Tokenizer tokenizer)
    {
        Func<string, byte[]> spell = Kinds(tokenizer.Json["decoder"]).ToHashSet(StringComparer.Ordinal) switch
        {
            var kinds when kinds.Contains("ByteLevel") => ByteLevel,
            var kinds when kinds.Contains("Metaspace") || kinds.Contains("ByteFallback") => SentencePiece,
            var kinds => throw new InputException(
                $"{tokenizer.File}: the bytes of its tokens are not known (decoder {(kinds.Count == 0 ? "absent" : string.Join(", ", kinds))}); wanted a byte-level tokenizer or one with Metaspace or byte fallback"),
        };
        var bytes = new byte[]?[tokenizer.VocabularySize];
        var added = (tokenizer.Json["added_tokens"] as JsonArray ?? []).Select(token => (string?)token?["content"]).ToHashSet();
        foreach (var (token, id) in tokenizer.Vocabulary)
            if (!tokenizer.IsSpecial(id) && id != tokenizer.BosId && id != tokenizer.EosId && id != tokenizer.PadId)
                bytes[id] = added.Contains(token) ? System.Text.Encoding.UTF8.GetBytes(token) : spell(token);
        return bytes;
    }

    /// <summary>Whether the tokenizer puts a space before a text, which decoding takes away again.</summary>
    public static bool HasLeadingSpace(Tokenizer tokenizer)
    {
        var ids = tokenizer.Encode("a", addSpecialTokens: false);
        return ids.Length > 0 && tokenizer.IdToToken(ids[0]) is { } token && token.StartsWith('▁');
    }

    private static IEnumerable<string> Kinds(JsonNode? decoder) => decoder is not JsonObject node ? []
        : node["decoders"] is JsonArray parts ? parts.SelectMany(Kinds)
        : [(string?)node["type"] ?? ""];

    private static byte[] ByteLevel(string token)
    {
        var bytes = new byte[token.Length];
        for (var i = 0; i < token.Length; i++)
        {
            if (ByteAlphabet.Byte(token[i]) is >= 0 and var value)
                bytes[i] = (byte)value;
            else
                return System.Text.Encoding.UTF8.GetBytes(token);
        }

        return bytes;
    }

    private static byte[] SentencePiece(string token) =>
        token.Length == 6 && token.StartsWith("<0x", StringComparison.Ordinal) && token[^1] == '>'
        && byte.TryParse(token.AsSpan(3, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value)
            ? [value] : System.Text.Encoding.UTF8.GetBytes(token.Replace('▁', ' '));
}
