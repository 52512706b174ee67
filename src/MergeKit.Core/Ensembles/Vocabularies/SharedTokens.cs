using MergeKit.Core.Tokenization;

namespace MergeKit.Core.Ensembles.Vocabularies;

/// <summary>The ids of an ensemble whose members have different tokens, as text: what members share is the text, which each cuts in its own way.</summary>
/// <param name="Bytes">The bytes of each id; null for one that is no text.</param>
/// <param name="Names">The name of each id that is no text, for members that have the same one.</param>
/// <param name="Begin">The id that begins a text.</param>
/// <param name="End">The id that ends one.</param>
/// <param name="LeadingSpace">Whether texts are spelt with a space before them that is not theirs.</param>
public sealed record SharedTokens(IReadOnlyList<byte[]?> Bytes, IReadOnlyList<string?> Names, int? Begin, int? End, bool LeadingSpace)
{
    /// <summary>The ids in a member's own tokens. Begin and end of a text go by their role; bytes of an unfinished character at the end are left out.</summary>
    public int[] Translate(ReadOnlySpan<int> ids, Tokenizer member)
    {
        var (own, text) = (new List<int>(), new List<byte>());
        for (var i = 0; i < ids.Length; i++)
        {
            if (Bytes[ids[i]] is { } bytes)
            {
                text.AddRange(bytes);
                continue;
            }

            Flush(text, member, own, isLast: false);
            var role = ids[i] == Begin && i == 0 ? member.BosId : ids[i] == End ? member.EosId : ids[i] == Begin ? member.BosId
                : Names[ids[i]] is { } name ? member.TokenToId(name) : null;
            if (role is { } id)
                own.Add(id);
        }

        Flush(text, member, own, isLast: true);
        if (own.Count == 0 && (member.BosId ?? member.EosId) is { } first)
            own.Add(first);
        return [.. own];
    }

    private void Flush(List<byte> text, Tokenizer member, List<int> own, bool isLast)
    {
        var bytes = System.Runtime.InteropServices.CollectionsMarshal.AsSpan(text);
        if (LeadingSpace && bytes is [(byte)' ', ..])
            bytes = bytes[1..];
        if (isLast)
            bytes = bytes[..WholeCharacters(bytes)];
        if (!bytes.IsEmpty)
            own.AddRange(member.Encode(System.Text.Encoding.UTF8.GetString(bytes), addSpecialTokens: false));
        text.Clear();
    }

    /// <summary>The length without a character that is still unfinished at the end.</summary>
    private static int WholeCharacters(ReadOnlySpan<byte> bytes)
    {
        for (var back = 1; back <= Math.Min(3, bytes.Length); back++)
        {
            var lead = bytes[^back];
            if ((lead & 0xC0) == 0x80)
                continue;
            var length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
            return length > back ? bytes.Length - back : bytes.Length;
        }

        return bytes.Length;
    }
}
