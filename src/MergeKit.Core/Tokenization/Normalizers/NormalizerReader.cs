using MergeKit.Core.Tokenization.Json;
using MergeKit.Core.Tokenization.Patterns;

namespace MergeKit.Core.Tokenization.Normalizers;

/// <summary>Builds the normalizer that a tokenizer file describes.</summary>
internal static class NormalizerReader
{
    private static readonly string[] Known = ["BertNormalizer", "ByteLevel", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Nmt",
        "Precompiled", "Prepend", "Replace", "Sequence", "Strip", "StripAccents"];

    /// <summary>The normalizer, or null where there is none.</summary>
    public static Normalizer? Read(JsonScope scope) => scope.IsMissing ? null : scope.Type switch
    {
        "Sequence" => new SequenceNormalizer([.. scope.Get("normalizers").Items().Select(item =>
            Read(item) ?? throw item.Fail("a normalizer"))]),
        "NFC" => new FormNormalizer(compose: true, compatibility: false),
        "NFD" => new FormNormalizer(compose: false, compatibility: false),
        "NFKC" => new FormNormalizer(compose: true, compatibility: true),
        "NFKD" => new FormNormalizer(compose: false, compatibility: true),
        "Lowercase" => new LowercaseNormalizer(),
        "Strip" => new StripNormalizer(scope.Get("strip_left").Bool(true), scope.Get("strip_right").Bool(true)),
        "StripAccents" => new StripAccentsNormalizer(),
        "Replace" => new ReplaceNormalizer(PatternReader.Read(scope.Get("pattern")), scope.Get("content").RequireString()),
        "Prepend" => new PrependNormalizer(scope.Get("prepend").RequireString()),
        "BertNormalizer" => Bert(scope),
        "Nmt" => new NmtNormalizer(),
        "Precompiled" => PrecompiledNormalizer.Read(scope.Get("precompiled_charsmap")),
        "ByteLevel" => new ByteLevelNormalizer(),
        _ => throw scope.UnknownType("normalizer", Known),
    };

    private static BertNormalizer Bert(JsonScope scope)
    {
        var lowercase = scope.Get("lowercase").Bool(true);
        return new BertNormalizer(scope.Get("clean_text").Bool(true), scope.Get("handle_chinese_chars").Bool(true),
            scope.Get("strip_accents").Bool(lowercase), lowercase);
    }
}
