namespace MergeKit.Core.Tokenization.Patterns;

/// <summary>The regular expressions that most byte-level vocabularies split with, and their hand-written equals.</summary>
internal static class KnownSplits
{
    /// <summary>GPT-2's expression, also what ByteLevel with <c>use_regex</c> means.</summary>
    public const string Gpt2 = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    /// <summary>The expression of cl100k and Llama 3: up to three digits.</summary>
    public const string Llama3 =
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    /// <summary>The expression of Qwen 2: single digits.</summary>
    public const string Qwen2 =
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    /// <summary>GPT-2's splitter.</summary>
    public static Pattern Gpt2Splitter { get; } = new Gpt2Splitter();

    /// <summary>The splitter of an expression recognised by its exact text, or null.</summary>
    public static Pattern? Find(string expression) => expression switch
    {
        Gpt2 => Gpt2Splitter,
        Llama3 => new Llama3Splitter(maxDigits: 3),
        Qwen2 => new Llama3Splitter(maxDigits: 1),
        _ => null,
    };
}
