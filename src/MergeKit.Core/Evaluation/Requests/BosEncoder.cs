using MergeKit.Core.Models;

namespace MergeKit.Core.Evaluation.Requests;

/// <summary>A tokenizer that always begins with BOS when special tokens are asked for, once.</summary>
public sealed class BosEncoder(ITextEncoder inner) : ITextEncoder
{
    /// <inheritdoc/>
    public int? BosId => inner.BosId;

    /// <inheritdoc/>
    public int? EosId => inner.EosId;

    /// <inheritdoc/>
    public int[] Encode(string text, bool addSpecialTokens)
    {
        var ids = inner.Encode(text, addSpecialTokens);
        return addSpecialTokens && inner.BosId is { } bos && (ids.Length == 0 || ids[0] != bos) ? [bos, .. ids] : ids;
    }

    /// <inheritdoc/>
    public string Decode(ReadOnlySpan<int> ids) => inner.Decode(ids);
}
