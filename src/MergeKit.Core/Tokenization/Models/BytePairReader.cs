using System.Text.Json;
using MergeKit.Core.Tokenization.Json;

namespace MergeKit.Core.Tokenization.Models;

/// <summary>Reads a byte-pair model: its merges are strings of two tokens with a space between, or pairs of strings.</summary>
internal static class BytePairReader
{
    private const char Metaspace = '\u2581';

    /// <summary>The model that a file describes.</summary>
    public static BytePairModel Read(JsonScope scope)
    {
        if (!scope.Get("dropout").IsMissing && scope.Get("dropout").RequireNumber() != 0)
            throw scope.Get("dropout").Fail("null, as dropout makes tokens random,");
        var options = new BytePairOptions
        {
            Unknown = scope.Get("unk_token").OptionalString(),
            Prefix = NullIfEmpty(scope.Get("continuing_subword_prefix").OptionalString()),
            Suffix = NullIfEmpty(scope.Get("end_of_word_suffix").OptionalString()),
            FuseUnknown = scope.Get("fuse_unk").Bool(false),
            ByteFallback = scope.Get("byte_fallback").Bool(false),
            IgnoreMerges = scope.Get("ignore_merges").Bool(false),
        };
        var vocabulary = Vocabulary.Read(scope.Get("vocab"));
        var merges = ReadMerges(scope.Get("merges"), vocabulary, options.Prefix?.Length ?? 0, out var joints);
        return new BytePairModel(vocabulary, merges, options, joints, scope.File);
    }

    private static MergeTable ReadMerges(JsonScope scope, Vocabulary vocabulary, int prefix, out bool joints)
    {
        joints = true;
        var table = new MergeTable(scope.Element.ValueKind == JsonValueKind.Array ? scope.Element.GetArrayLength() : 0);
        var rank = 0;
        foreach (var item in scope.Items())
        {
            if (IsVersion(item.Element))
                continue;
            var (left, right) = Pair(item);
            var joined = prefix <= right.Length
                ? left + right[prefix..]
                : throw item.Fail($"a second token that begins with the prefix of {prefix} characters");
            table.Set(Id(item, vocabulary, left), Id(item, vocabulary, right), rank++, Id(item, vocabulary, joined));
            joints &= !(right.StartsWith(Metaspace) && !left.EndsWith(Metaspace));
        }

        return table;
    }

    /// <summary>The merges in order, as texts.</summary>
    public static List<TokenMerge> Merges(JsonScope scope)
    {
        var merges = new List<TokenMerge>(scope.Element.GetArrayLength());
        foreach (var item in scope.Element.EnumerateArray())
            if (!IsVersion(item))
                merges.Add(Pair(scope with { Element = item }));
        return merges;
    }

    private static bool IsVersion(JsonElement item) =>
        item.ValueKind == JsonValueKind.String && JsonScope.Text(item).StartsWith("#version", StringComparison.Ordinal);

    private static TokenMerge Pair(JsonScope item)
    {
        if (item.Element.ValueKind == JsonValueKind.Array && item.Element.GetArrayLength() == 2)
            return new TokenMerge(JsonScope.Text(Text(item.Element[0], item)), JsonScope.Text(Text(item.Element[1], item)));
        var text = item.Element.ValueKind == JsonValueKind.String ? item.RequireString() : "";
        var space = text.IndexOf(' ', StringComparison.Ordinal);
        return space >= 0 && text.IndexOf(' ', space + 1) < 0
            ? new TokenMerge(text[..space], text[(space + 1)..])
            : throw item.Fail("two tokens, as a list or with one space between them,");
    }

    private static JsonElement Text(JsonElement element, JsonScope item) =>
        element.ValueKind == JsonValueKind.String ? element : throw item.Fail("a list of two strings");

    private static int Id(JsonScope item, Vocabulary vocabulary, string token) =>
        vocabulary.TryGetId(token, out var id) ? id : throw item.Fail($"a merge of tokens in the vocabulary ('{token}' is not)");

    private static string? NullIfEmpty(string? text) => string.IsNullOrEmpty(text) ? null : text;
}
