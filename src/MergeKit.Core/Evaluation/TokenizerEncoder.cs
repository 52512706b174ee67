using System.IO.Hashing;
using System.Text;
using MergeKit.Core.Models;
using MergeKit.Core.Tokenization;

namespace MergeKit.Core.Evaluation;

/// <summary>A tokenizer as evaluation sees it.</summary>
public sealed class TokenizerEncoder(Tokenizer tokenizer) : ITextEncoder
{
    /// <inheritdoc/>
    public int? BosId => tokenizer.BosId;

    /// <inheritdoc/>
    public int? EosId => tokenizer.EosId;

    /// <summary>Equal for tokenizers whose tokens and ids are equal.</summary>
    public string Id { get; } = Convert.ToHexStringLower(XxHash128.Hash(System.Text.Encoding.UTF8.GetBytes(
        tokenizer.Vocabulary.OrderBy(pair => pair.Value).Aggregate(new StringBuilder(), (text, pair) => text.Append(pair.Value).Append('\t').Append(pair.Key).Append('\n')).ToString())));

    /// <inheritdoc/>
    public int[] Encode(string text, bool addSpecialTokens) => tokenizer.Encode(text, addSpecialTokens);

    /// <inheritdoc/>
    public string Decode(ReadOnlySpan<int> ids) => tokenizer.Decode(ids);
}
