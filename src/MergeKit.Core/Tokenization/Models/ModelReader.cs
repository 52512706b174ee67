using System.Text.Json;
using MergeKit.Core.Tokenization.Json;

namespace MergeKit.Core.Tokenization.Models;

/// <summary>Builds the model that a tokenizer file describes.</summary>
internal static class ModelReader
{
    private static readonly string[] Known = ["BPE", "Unigram", "WordLevel", "WordPiece"];

    /// <summary>The model. Old files do not name its type; its keys tell it.</summary>
    public static TokenModel Read(JsonScope scope) => TypeOf(scope) switch
    {
        "BPE" => BytePairReader.Read(scope),
        "Unigram" => Unigram(scope),
        "WordPiece" => new WordPieceModel(Vocabulary.Read(scope.Get("vocab")), scope.Get("unk_token").OptionalString() ?? "[UNK]",
            scope.Get("continuing_subword_prefix").OptionalString() ?? "##", scope.Get("max_input_chars_per_word").Count(100), scope.File),
        "WordLevel" => new WordLevelModel(Vocabulary.Read(scope.Get("vocab")), scope.Get("unk_token").OptionalString() ?? "<unk>",
            scope.File),
        _ => throw scope.UnknownType("model", Known),
    };

    /// <summary>The model's type, stated or told by its keys.</summary>
    public static string TypeOf(JsonScope scope) => scope.Get("type").IsMissing ? Guess(scope) : scope.Type;

    private static string Guess(JsonScope scope)
    {
        if (!scope.Get("merges").IsMissing)
            return "BPE";
        if (scope.Get("vocab").Element.ValueKind == JsonValueKind.Array)
            return "Unigram";
        return scope.Get("max_input_chars_per_word").IsMissing && scope.Get("continuing_subword_prefix").IsMissing
            ? "WordLevel"
            : "WordPiece";
    }

    private static UnigramModel Unigram(JsonScope scope)
    {
        var tokens = new List<KeyValuePair<string, int>>();
        var scores = new List<double>();
        foreach (var item in scope.Get("vocab").Items())
        {
            if (item.Element.ValueKind != JsonValueKind.Array || item.Element.GetArrayLength() != 2
                || item.Element[0].ValueKind != JsonValueKind.String)
                throw item.Fail("a token and its score");
            tokens.Add(KeyValuePair.Create(JsonScope.Text(item.Element[0]), scores.Count));
            scores.Add(new JsonScope(item.File, item.Path + "[1]", item.Element[1]).RequireNumber());
        }

        var unknown = scope.Get("unk_id");
        if (!unknown.IsMissing && unknown.RequireCount() >= scores.Count)
            throw unknown.Fail($"an id below the {scores.Count} of the vocabulary");
        return new UnigramModel(new Vocabulary(tokens, tokens.Count), [.. scores], unknown.IsMissing ? null : unknown.RequireCount(),
            scope.Get("byte_fallback").Bool(false), scope.File);
    }
}
