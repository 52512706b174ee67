using System.Buffers;
using System.Text.Json;
using MergeKit.Core.Tokenization.Json;

namespace MergeKit.Core.Tokenization.Vocabularies;

/// <summary>How a vocabulary spells text.</summary>
public enum TokenAlphabet
{
    /// <summary>As it is.</summary>
    Plain,

    /// <summary>Each byte as a printable character (Radford et al. 2019): <c>Ġthe</c>.</summary>
    Bytes,

    /// <summary>With U+2581 for a blank, as SentencePiece does: <c>▁the</c>.</summary>
    Metaspace,
}

/// <summary>What decides whether equal token strings of two tokenizers mean equal text.</summary>
/// <param name="Model"><c>BPE</c>, <c>Unigram</c>, <c>WordPiece</c> or <c>WordLevel</c>.</param>
/// <param name="Alphabet">How tokens spell text.</param>
/// <param name="Prefix">What is put before the parts of a word but the first; null where nothing is.</param>
/// <param name="Suffix">What is put behind the last part of a word; null where nothing is.</param>
/// <param name="Normalizer">The normalizer, as JSON.</param>
/// <param name="PreTokenizer">The pre-tokenizer, as JSON.</param>
public sealed record TokenizerKind(string Model, TokenAlphabet Alphabet, string? Prefix, string? Suffix, string Normalizer, string PreTokenizer)
{
    private const int Deepest = 16;
    private static readonly string[] Sections = ["normalizer", "pre_tokenizer", "decoder"];

    /// <summary>Why tokens of the two cannot stand in one vocabulary; null where they can.</summary>
    public string? Conflict(TokenizerKind other) =>
        Spelling(other) ?? (Model == other.Model ? null : $"one is a {Model} model, the other a {other.Model} model");

    /// <summary>Why equal strings mean different text; null where they mean the same.</summary>
    public string? Spelling(TokenizerKind other)
    {
        if (Alphabet != other.Alphabet)
            return $"one spells text {Words(Alphabet)}, the other {Words(other.Alphabet)}";
        return (Prefix, Suffix) == (other.Prefix, other.Suffix) ? null
            : $"one marks parts of words as '{Prefix}x{Suffix}', the other as '{other.Prefix}x{other.Suffix}'";
    }

    /// <summary>Which steps before the model differ; null where none does.</summary>
    public string? Preparation(TokenizerKind other) => (Normalizer == other.Normalizer, PreTokenizer == other.PreTokenizer) switch
    {
        (true, true) => null,
        (false, true) => "normalizers",
        (true, false) => "pre-tokenizers",
        _ => "normalizers and pre-tokenizers",
    };

    /// <summary>The kind that a tokenizer file describes.</summary>
    internal static TokenizerKind Read(JsonScope root, string model)
    {
        var sections = Sections.Select(name => root.Get(name).Element).ToList();
        var alphabet = sections.Exists(section => Holds(section, "ByteLevel", null, 0)) ? TokenAlphabet.Bytes
            : sections.Exists(section => Holds(section, "Metaspace", null, 0) || Holds(section, "Replace", "\u2581", 0)) ? TokenAlphabet.Metaspace
            : TokenAlphabet.Plain;
        var scope = root.Get("model");
        var prefix = scope.Get("continuing_subword_prefix").OptionalString() ?? (model == "WordPiece" ? "##" : null);
        return new TokenizerKind(model, alphabet, string.IsNullOrEmpty(prefix) ? null : prefix,
            scope.Get("end_of_word_suffix").OptionalString() is { Length: > 0 } suffix ? suffix : null, Text(sections[0]), Text(sections[1]));
    }

    private static string Words(TokenAlphabet alphabet) => alphabet switch
    {
        TokenAlphabet.Bytes => "byte by byte ('Ġthe')",
        TokenAlphabet.Metaspace => "with '▁' for a blank ('▁the')",
        _ => "as it is ('the')",
    };

    /// <summary>A section without the file's own white space.</summary>
    private static string Text(JsonElement section)
    {
        if (section.ValueKind == JsonValueKind.Undefined)
            return "null";
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
            section.WriteTo(json);
        return System.Text.Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    /// <summary>Whether a component of this type (with this mark in its <c>content</c> or <c>pattern</c>) is anywhere in a section.</summary>
    private static bool Holds(JsonElement element, string type, string? mark, int depth) => depth < Deepest && element.ValueKind switch
    {
        JsonValueKind.Object => (Is(element, type) && (mark is null || Mentions(element, mark)))
            || element.EnumerateObject().Any(member => Holds(member.Value, type, mark, depth + 1)),
        JsonValueKind.Array => element.EnumerateArray().Any(item => Holds(item, type, mark, depth + 1)),
        _ => false,
    };

    private static bool Is(JsonElement element, string type) =>
        element.TryGetProperty("type", out var value) && value.ValueKind == JsonValueKind.String && JsonScope.Text(value) == type;

    private static bool Mentions(JsonElement element, string mark) =>
        (element.TryGetProperty("content", out var content) && content.ValueKind == JsonValueKind.String && JsonScope.Text(content) == mark)
        || (element.TryGetProperty("pattern", out var pattern) && pattern.ValueKind == JsonValueKind.Object
            && pattern.TryGetProperty("String", out var text) && text.ValueKind == JsonValueKind.String && JsonScope.Text(text) == mark);
}
