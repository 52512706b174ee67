namespace MergeKit.Core.Tokenization;

/// <summary>The tokens of one text or of a pair. The three lists have the same length.</summary>
/// <param name="Ids">Token ids.</param>
/// <param name="TypeIds">0 or 1 (or what a template says): which text a token belongs to.</param>
/// <param name="Tokens">The tokens as strings. For an added token this is the text that matched, stripped white space included.</param>
public sealed record Encoding(IReadOnlyList<int> Ids, IReadOnlyList<int> TypeIds, IReadOnlyList<string> Tokens);
