using System.Text;
using MergeKit.Core.Tokenization.Json;
using MergeKit.Core.Tokenization.Patterns;
using MergeKit.Core.Tokenization.PreTokenizers;

namespace MergeKit.Core.Tokenization.Decoders;

/// <summary>Builds the decoder that a tokenizer file describes, as a flat list of steps.</summary>
internal static class DecoderReader
{
    private static readonly string[] Known = ["BPEDecoder", "ByteFallback", "ByteLevel", "CTC", "Fuse", "Metaspace", "Replace",
        "Sequence", "Strip", "WordPiece"];

    private static readonly (string Seen, string Wanted)[] CleanUps =
    [
        (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"), (" do not", " don't"),
        (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
    ];

    /// <summary>The steps in order. Without a decoder, tokens are joined by spaces.</summary>
    public static IReadOnlyList<Decoder> Read(JsonScope scope) =>
        scope.IsMissing ? [new MapDecoder((token, index) => index == 0 ? token : " " + token)] : [.. Steps(scope)];

    /// <summary>Takes back the spaces that English tokenization set before punctuation and contractions.</summary>
    public static string CleanUp(string text) =>
        CleanUps.Aggregate(text, (current, pair) => current.Replace(pair.Seen, pair.Wanted, StringComparison.Ordinal));

    private static IEnumerable<Decoder> Steps(JsonScope scope) => scope.Type switch
    {
        "Sequence" => scope.Get("decoders").Items().SelectMany(item => item.IsMissing ? throw item.Fail("a decoder") : Steps(item)),
        "ByteLevel" => [new ByteLevelDecoder()],
        "ByteFallback" => [new ByteFallbackDecoder()],
        "Fuse" => [new FuseDecoder()],
        "Metaspace" => [Metaspace(scope)],
        "WordPiece" => [WordPiece(scope.Get("prefix").OptionalString() ?? "##", scope.Get("cleanup").Bool(true))],
        "BPEDecoder" => [new SuffixDecoder(scope.Get("suffix").OptionalString() ?? "</w>")],
        "CTC" => [new CtcDecoder(scope.Get("pad_token").OptionalString() ?? "<pad>",
            scope.Get("word_delimiter_token").OptionalString() ?? "|", scope.Get("cleanup").Bool(true))],
        "Strip" => [new StripDecoder(scope.Get("content").Rune(new Rune(' ')), scope.Get("start").Count(0), scope.Get("stop").Count(0))],
        "Replace" => [Replace(PatternReader.Read(scope.Get("pattern")), scope.Get("content").RequireString())],
        _ => throw scope.UnknownType("decoder", Known),
    };

    private static MapDecoder Metaspace(JsonScope scope)
    {
        var mark = scope.Get("replacement").RequireRune().ToString();
        var drops = PreTokenizerReader.MetaspaceScheme(scope) != PrependScheme.Never;
        return new MapDecoder((token, index) => token.Replace(mark, index == 0 && drops ? "" : " ", StringComparison.Ordinal));
    }

    private static MapDecoder WordPiece(string prefix, bool cleanup) => new((token, index) =>
    {
        if (index > 0)
            token = token.StartsWith(prefix, StringComparison.Ordinal) ? token[prefix.Length..] : " " + token;
        return cleanup ? CleanUp(token) : token;
    });

    private static MapDecoder Replace(Pattern pattern, string content) => new((token, _) =>
    {
        var output = new StringBuilder();
        var matches = pattern.Matches(token);
        var copied = 0;
        while (matches.MoveNext())
        {
            var (start, end) = matches.Current;
            output.Append(token, copied, start - copied).Append(content);
            copied = end;
        }

        return copied == 0 && output.Length == 0 ? token : output.Append(token, copied, token.Length - copied).ToString();
    });
}
