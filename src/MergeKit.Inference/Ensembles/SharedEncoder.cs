using MergeKit.Core.Ensembles.Vocabularies;
using MergeKit.Core.Models;
using MergeKit.Core.Tokenization;

namespace MergeKit.Inference.Ensembles;

/// <summary>Text as ids of a union of vocabularies: encoded by the pivot's tokenizer, decoded from any member's tokens.</summary>
internal sealed class SharedEncoder(Tokenizer pivot, SharedTokens shared) : ITextEncoder
{
    /// <inheritdoc/>
    public int? BosId => pivot.BosId;

    /// <inheritdoc/>
    public int? EosId => pivot.EosId;

    /// <inheritdoc/>
    public int[] Encode(string text, bool addSpecialTokens) => pivot.Encode(text, addSpecialTokens);

    /// <inheritdoc/>
    public string Decode(ReadOnlySpan<int> ids)
    {
        var bytes = new List<byte>();
        foreach (var id in ids)
            bytes.AddRange(shared.Bytes[id] ?? []);
        return System.Text.Encoding.UTF8.GetString(bytes.ToArray());
    }
}
