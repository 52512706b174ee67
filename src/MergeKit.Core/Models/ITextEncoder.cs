namespace MergeKit.Core.Models;

/// <summary>What evaluation needs of a tokenizer.</summary>
public interface ITextEncoder
{
    /// <summary>The token that begins a sequence, if the tokenizer has one.</summary>
    int? BosId { get; }

    /// <summary>The token that ends a sequence, if the tokenizer has one.</summary>
    int? EosId { get; }

    /// <summary>Text to ids; with <paramref name="addSpecialTokens"/> the tokenizer's own special tokens are added around it.</summary>
    int[] Encode(string text, bool addSpecialTokens);

    /// <summary>Ids to text; bytes that are not whole characters become U+FFFD.</summary>
    string Decode(ReadOnlySpan<int> ids);
}
