using MergeKit.Core.Ensembles;
using MergeKit.Core.Models;

namespace MergeKit.Inference.Ensembles;

/// <summary>What kind of token each id is, by the first character that is not a space.</summary>
internal static class TokenClasses
{
    /// <summary>The class of every id.</summary>
    public static IReadOnlyList<TokenClass> Of(ITextEncoder encoder, int count) => [.. Enumerable.Range(0, count).Select(id =>
        id == encoder.BosId || id == encoder.EosId ? TokenClass.None : Of(encoder.Decode([id])))];

    private static TokenClass Of(string text)
    {
        var rest = text.Trim();
        return text.Length == 0 ? TokenClass.None
            : rest.Length == 0 ? TokenClass.Space
            : char.IsDigit(rest[0]) ? TokenClass.Number
            : char.IsLetter(rest[0]) ? TokenClass.Word
            : TokenClass.Symbol;
    }
}
