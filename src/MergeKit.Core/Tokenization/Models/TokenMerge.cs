namespace MergeKit.Core.Tokenization.Models;

/// <summary>One merge of a byte-pair model.</summary>
/// <param name="Left">The first token.</param>
/// <param name="Right">The second token.</param>
internal readonly record struct TokenMerge(string Left, string Right);
