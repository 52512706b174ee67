using MergeKit.Core.Tokenization.Models;

namespace MergeKit.Core.Tokenization.PostProcessors;

/// <summary>Some tokens of an encoding, all with one type id.</summary>
/// <param name="Tokens">The tokens.</param>
/// <param name="TypeId">0 for the first text, 1 for the second, or what a template says.</param>
internal readonly record struct Segment(TokenList Tokens, int TypeId);

/// <summary>A special token that a post-processor adds: its text, which need not be that of the ids, and its ids.</summary>
internal sealed record SpecialToken(IReadOnlyList<int> Ids, IReadOnlyList<string> Texts)
{
    /// <summary>The token as a segment.</summary>
    public Segment ToSegment(int typeId, bool keepsTexts)
    {
        var list = new TokenList(keepsTexts);
        for (var i = 0; i < Ids.Count; i++)
            list.Add(Ids[i], Texts[i]);
        return new Segment(list, typeId);
    }
}
