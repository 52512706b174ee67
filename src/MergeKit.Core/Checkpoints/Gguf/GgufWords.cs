using System.Text.Json.Nodes;

namespace MergeKit.Core.Checkpoints.Gguf;

/// <summary>How byte-level tokenizers cut text into words: llama.cpp's names (<c>tokenizer.ggml.pre</c>), and the steps of tokenizer.json for them.</summary>
internal static class GgufWords
{
    private const string Gpt2 = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    /// <summary>Word patterns by their text in tokenizer.json, and the name that is written for them.</summary>
    public static IReadOnlyList<(string Pattern, string Name)> Patterns { get; } =
    [
        (@"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+", "llama-bpe"),
        (@"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+", "qwen2"),
    ];

    /// <summary>Whether words that are tokens are taken whole, without merging (Llama 3).</summary>
    public static bool IgnoresMerges(string name) => Canonical(name) == "llama-bpe";

    /// <summary>Whether text is brought to Unicode's composed form first.</summary>
    public static bool Composes(string name) => name is "qwen2" or "command-r";

    /// <summary>The steps for a name; null where it is not known.</summary>
    public static JsonArray? Steps(string name) => Canonical(name) switch
    {
        "llama-bpe" => [Split(Patterns[0].Pattern), ByteLevel(cuts: false)],
        "qwen2" => [Split(Patterns[1].Pattern), ByteLevel(cuts: false)],
        "gpt-2" => [ByteLevel(cuts: true)],
        "smollm" => [new JsonObject { ["type"] = "Digits", ["individual_digits"] = true }, ByteLevel(cuts: true)],
        "falcon" => [Split(@"[\p{P}\$\+<=>\^~\|`]+"), Split(Gpt2), Split("[0-9][0-9][0-9]"), ByteLevel(cuts: false)],
        "default" => [Split(@"[\p{P}\$\+<=>\^~\|]+"), Split(Gpt2), Split(@"\p{N}+"), Split("[0-9][0-9][0-9]"), ByteLevel(cuts: false)],
        _ => null,
    };

    /// <summary>One name for those that mean the same.</summary>
    private static string Canonical(string name) => name switch
    {
        "llama3" or "llama-v3" or "smaug-bpe" or "dbrx" => "llama-bpe",
        "stablelm2" or "deepseek-r1-qwen" or "hunyuan" => "qwen2",
        "gpt2" or "mpt" or "olmo" or "jais" or "phi-2" => "gpt-2",
        "starcoder" or "refact" or "command-r" or "codeshell" or "exaone" => "smollm",
        _ => name,
    };

    private static JsonObject Split(string pattern) =>
        new() { ["type"] = "Split", ["pattern"] = new JsonObject { ["Regex"] = pattern }, ["behavior"] = "Isolated", ["invert"] = false };

    private static JsonObject ByteLevel(bool cuts) => new() { ["type"] = "ByteLevel", ["add_prefix_space"] = false, ["trim_offsets"] = true, ["use_regex"] = cuts };
}
