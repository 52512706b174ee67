using System.Text;
using MergeKit.Core.Models;

namespace MergeKit.Core.Ensembles.Vocabularies;

/// <summary>Text as the ids of a <see cref="ByteModel"/>.</summary>
public sealed class ByteEncoder : ITextEncoder
{
    /// <inheritdoc/>
    public int? BosId => ByteModel.Begin;

    /// <inheritdoc/>
    public int? EosId => ByteModel.End;

    /// <inheritdoc/>
    public int[] Encode(string text, bool addSpecialTokens)
    {
        var ids = Array.ConvertAll(Encoding.UTF8.GetBytes(text), value => (int)value);
        return addSpecialTokens ? [ByteModel.Begin, .. ids] : ids;
    }

    /// <inheritdoc/>
    public string Decode(ReadOnlySpan<int> ids)
    {
        var bytes = new List<byte>();
        foreach (var id in ids)
            if (id < ByteModel.End)
                bytes.Add((byte)id);
        return Encoding.UTF8.GetString(bytes.ToArray());
    }
}
