using System.Text;
using MergeKit.Core.Tokenization.Json;
using MergeKit.Core.Tokenization.Patterns;
using MergeKit.Core.Tokenization.Unicode;

namespace MergeKit.Core.Tokenization.PreTokenizers;

/// <summary>Builds the pre-tokenizer that a tokenizer file describes, as a flat list of steps.</summary>
internal static class PreTokenizerReader
{
    private static readonly string[] Known = ["BertPreTokenizer", "ByteLevel", "CharDelimiterSplit", "Digits", "FixedLength", "Metaspace",
        "Punctuation", "Sequence", "Split", "UnicodeScripts", "Whitespace", "WhitespaceSplit"];

    private static readonly RunePattern White = new(CharacterClass.IsWhitespace);
    private static readonly RunePattern Punctuation = new(CharacterClass.IsPunctuation);

    /// <summary>The steps in order, none where there is no pre-tokenizer.</summary>
    public static IReadOnlyList<PreTokenizer> Read(JsonScope scope) => scope.IsMissing ? [] : [.. Steps(scope)];

    private static IEnumerable<PreTokenizer> Steps(JsonScope scope) => scope.Type switch
    {
        "Sequence" => scope.Get("pretokenizers").Items().SelectMany(item =>
            item.IsMissing ? throw item.Fail("a pre-tokenizer") : Steps(item)),
        "ByteLevel" => ByteLevel(scope),
        "Metaspace" => [Metaspace(scope)],
        "Split" => [new SplitPreTokenizer(PatternReader.Read(scope.Get("pattern")), Behavior(scope.Get("behavior")),
            scope.Get("invert").Bool(false))],
        "Whitespace" => [new SplitPreTokenizer(Words(), SplitBehavior.Removed, invert: true)],
        "WhitespaceSplit" => [new SplitPreTokenizer(White, SplitBehavior.Removed)],
        "BertPreTokenizer" =>
            [new SplitPreTokenizer(White, SplitBehavior.Removed), new SplitPreTokenizer(Punctuation, SplitBehavior.Isolated)],
        "Punctuation" => [new SplitPreTokenizer(Punctuation, Behavior(scope.Get("behavior")))],
        "Digits" => [new SplitPreTokenizer(new RunePattern(CharacterClass.IsNumeric),
            scope.Get("individual_digits").Bool(false) ? SplitBehavior.Isolated : SplitBehavior.Contiguous)],
        "CharDelimiterSplit" => [new SplitPreTokenizer(Delimiter(scope.Get("delimiter")), SplitBehavior.Removed)],
        "UnicodeScripts" => [new ScriptsPreTokenizer()],
        "FixedLength" => [new FixedLengthPreTokenizer(scope.Get("length").Count(5) is > 0 and var length
            ? length : throw scope.Get("length").Fail("a length above 0"))],
        _ => throw scope.UnknownType("pre-tokenizer", Known),
    };

    private static IEnumerable<PreTokenizer> ByteLevel(JsonScope scope)
    {
        if (scope.Get("add_prefix_space").Bool(true))
            yield return new PrefixSpacePreTokenizer();
        if (scope.Get("use_regex").Bool(true))
            yield return new SplitPreTokenizer(KnownSplits.Gpt2Splitter, SplitBehavior.Isolated);
        yield return new ByteAlphabetPreTokenizer();
    }

    private static MetaspacePreTokenizer Metaspace(JsonScope scope)
    {
        var replacement = scope.Get("replacement").RequireRune();
        return new MetaspacePreTokenizer(replacement, MetaspaceScheme(scope), scope.Get("split").Bool(true));
    }

    /// <summary>The scheme of a Metaspace component; old files have <c>add_prefix_space</c> alone.</summary>
    public static PrependScheme MetaspaceScheme(JsonScope scope)
    {
        var stated = scope.Get("prepend_scheme");
        if (!scope.Get("add_prefix_space").Bool(true))
            return stated.OptionalString() is null or "never" ? PrependScheme.Never
                : throw stated.Fail("'never', as add_prefix_space is false,");
        return stated.OptionalString() switch
        {
            null or "always" => PrependScheme.Always,
            "first" => PrependScheme.First,
            "never" => PrependScheme.Never,
            _ => throw stated.Fail("'always', 'first' or 'never'"),
        };
    }

    private static SplitBehavior Behavior(JsonScope scope) => scope.OptionalString() switch
    {
        null or "Isolated" => SplitBehavior.Isolated,
        "Removed" => SplitBehavior.Removed,
        "MergedWithPrevious" => SplitBehavior.MergedWithPrevious,
        "MergedWithNext" => SplitBehavior.MergedWithNext,
        "Contiguous" => SplitBehavior.Contiguous,
        _ => throw scope.Fail("Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous"),
    };

    private static RunePattern Delimiter(JsonScope scope)
    {
        var text = scope.RequireString();
        var wanted = WellFormed.RuneAt(text.Length == 0 ? throw scope.Fail("one character") : text, 0);
        return wanted.Utf16SequenceLength == text.Length ? new RunePattern(rune => rune == wanted) : throw scope.Fail("one character");
    }

    /// <summary>Runs of word characters, and runs of what is neither a word character nor white space.</summary>
    private static RunPattern Words() => new(rune =>
        CharacterClass.IsWordOrJoiner(rune) ? 1 : CharacterClass.IsWhitespace(rune) ? 0 : 2);
}
