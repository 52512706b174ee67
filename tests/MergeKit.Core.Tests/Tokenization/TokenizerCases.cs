using System.Text;
using System.Text.Json;
using MergeKit.Core.Tokenization;

namespace MergeKit.Core.Tests.Tokenization;

/// <summary>Compares a tokenizer with reference results: <c>cases</c> and <c>pairs</c>.</summary>
internal static class TokenizerCases
{
    /// <summary>Asserts that every case and pair is equal; encoding runs twice, so that the second finds words in the cache.</summary>
    public static void Check(Tokenizer tokenizer, JsonElement reference)
    {
        foreach (var item in reference.GetProperty("cases").EnumerateArray())
        {
            var text = item.GetProperty("text").GetString()!;
            var where = $"text '{text}'";
            var detailed = tokenizer.EncodeWithTokens(text);
            Same(Strings(item, "tokens"), detailed.Tokens, where);
            for (var pass = 0; pass < 2; pass++)
                Same(detailed.Ids, tokenizer.Encode(text), where);
            if (item.TryGetProperty("ids", out _))
                CheckIds(tokenizer, item, text, where);
        }

        foreach (var item in reference.GetProperty("pairs").EnumerateArray())
            CheckPair(tokenizer, item);
    }

    private static void CheckIds(Tokenizer tokenizer, JsonElement item, string text, string where)
    {
        var (ids, plain) = (Ints(item, "ids"), Ints(item, "ids_without_special"));
        Same(ids, tokenizer.Encode(text), where);
        Same(plain, tokenizer.Encode(text, addSpecialTokens: false), where);
        Assert.Equal(item.GetProperty("decoded").GetString(), tokenizer.Decode(plain));
        Assert.Equal(item.GetProperty("decoded_skip_special").GetString(), tokenizer.Decode(ids, skipSpecialTokens: true));
        Assert.Equal(item.GetProperty("decoded_skip_special").GetString(), Stream(tokenizer, ids));
    }

    private static void CheckPair(Tokenizer tokenizer, JsonElement item)
    {
        var texts = (item.TryGetProperty("first", out var first) ? first : item.GetProperty("text")).GetString()!;
        var second = (item.TryGetProperty("second", out var other) ? other : item.GetProperty("pair")).GetString()!;
        var encoding = tokenizer.EncodePair(texts, second);
        var where = $"pair '{texts}', '{second}'";
        Same(Ints(item, "ids"), encoding.Ids, where);
        Same(Ints(item, "type_ids"), encoding.TypeIds, where);
        if (item.TryGetProperty("tokens", out _))
            Same(Strings(item, "tokens"), encoding.Tokens, where);
        if (item.TryGetProperty("ids_without_special", out _))
            Same(Ints(item, "ids_without_special"), tokenizer.EncodePair(texts, second, addSpecialTokens: false).Ids, where);
        if (item.TryGetProperty("type_ids_without_special", out _))
            Same(Ints(item, "type_ids_without_special"), tokenizer.EncodePair(texts, second, addSpecialTokens: false).TypeIds, where);
    }

    /// <summary>The text of ids that are decoded one by one.</summary>
    public static string Stream(Tokenizer tokenizer, IEnumerable<int> ids, bool skipSpecialTokens = true)
    {
        var stream = tokenizer.CreateStreamDecoder(skipSpecialTokens);
        var text = new StringBuilder();
        foreach (var id in ids)
            text.Append(stream.Append(id));
        return text.Append(stream.Flush()).ToString();
    }

    private static int[] Ints(JsonElement item, string key) => [.. item.GetProperty(key).EnumerateArray().Select(id => id.GetInt32())];

    private static string[] Strings(JsonElement item, string key) =>
        [.. item.GetProperty(key).EnumerateArray().Select(text => text.GetString()!)];

    private static void Same<T>(IReadOnlyList<T> wanted, IReadOnlyList<T> seen, string where) =>
        Assert.True(wanted.SequenceEqual(seen), $"{where}: wanted [{string.Join(", ", wanted)}], got [{string.Join(", ", seen)}]");
}
