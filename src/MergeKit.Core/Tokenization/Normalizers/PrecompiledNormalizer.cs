using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using MergeKit.Core.Tokenization.Json;

namespace MergeKit.Core.Tokenization.Normalizers;

/// <summary><c>Precompiled</c>: the character map of a SentencePiece model (Kudo and Richardson 2018): a double-array trie
/// over UTF-8 from text to an offset into a pool of NUL-ended replacements.</summary>
/// <remarks>Layout: little-endian u32 size of the trie in bytes, the trie's u32 units, the pool. A whole grapheme
/// cluster of less than six bytes is looked up first, then its code points one by one; the shortest key that begins the
/// looked-up text decides, and replaces all of it.</remarks>
internal sealed class PrecompiledNormalizer : Normalizer
{
    private readonly uint[] _trie;
    private readonly byte[] _pool;

    private PrecompiledNormalizer(uint[] trie, byte[] pool) => (_trie, _pool) = (trie, pool);

    /// <summary>Reads the base64 text of <c>precompiled_charsmap</c>.</summary>
    public static PrecompiledNormalizer Read(JsonScope scope)
    {
        byte[] blob;
        try
        {
            blob = Convert.FromBase64String(scope.RequireString());
        }
        catch (FormatException)
        {
            throw scope.Fail("base64 text");
        }

        if (blob.Length < 4)
            throw scope.Fail("a character map of at least 4 bytes");
        var size = BinaryPrimitives.ReadUInt32LittleEndian(blob);
        if (size % 4 != 0 || size > blob.Length - 4)
            throw scope.Fail($"a character map whose trie ({size} bytes) fits its {blob.Length} bytes");
        var trie = new uint[size / 4];
        for (var i = 0; i < trie.Length; i++)
            trie[i] = BinaryPrimitives.ReadUInt32LittleEndian(blob.AsSpan(4 + 4 * i));
        return new PrecompiledNormalizer(trie, blob[(4 + (int)size)..]);
    }

    /// <inheritdoc/>
    public override NormalizedText Apply(NormalizedText input)
    {
        var output = new AlignedText(input);
        for (var index = 0; index < input.Text.Length;)
        {
            var length = StringInfo.GetNextTextElementLength(input.Text, index);
            AppendCluster(output, input.Text.AsSpan(index, length));
            index += length;
        }

        return output.ToText();
    }

    private void AppendCluster(AlignedText output, ReadOnlySpan<char> cluster)
    {
        Span<byte> bytes = stackalloc byte[8];
        if (cluster.Length < 6 && System.Text.Encoding.UTF8.GetByteCount(cluster) < 6
            && Find(bytes[..System.Text.Encoding.UTF8.GetBytes(cluster, bytes)]) is { } whole)
        {
            output.Replace(Count(cluster), whole);
            return;
        }

        foreach (var rune in cluster.EnumerateRunes())
            output.Replace(1, Find(bytes[..rune.EncodeToUtf8(bytes)]) ?? rune.ToString());
    }

    private static int Count(ReadOnlySpan<char> text)
    {
        var count = 0;
        foreach (var _ in text.EnumerateRunes())
            count++;
        return count;
    }

    /// <summary>The output, and how far it stems from the first character. As in the library, a replacement's code points
    /// align one by one with those replaced, and code points that vanish before any output leave no trace.</summary>
    private sealed class AlignedText(NormalizedText input)
    {
        private readonly StringBuilder _text = new(input.Text.Length + 16);
        private readonly int _originRunes = Count(input.Text.AsSpan(0, input.Origin));
        private int _consumed;
        private int _origin;

        public void Replace(int runes, string replacement)
        {
            var left = runes;
            foreach (var rune in replacement.EnumerateRunes())
            {
                _text.Append(rune);
                var source = left > 0 ? _consumed : Math.Max(0, _consumed - 1);
                if (source < _originRunes)
                    _origin = _text.Length;
                if (left-- > 0)
                    _consumed++;
            }

            if (_text.Length > 0)
                _consumed += Math.Max(0, left);
        }

        public NormalizedText ToText() => new(_text.ToString(), _origin);
    }

    /// <summary>The replacement under the shortest key that is a prefix of the text, or null.</summary>
    private string? Find(ReadOnlySpan<byte> key)
    {
        if (_trie.Length == 0)
            return null;
        var node = Offset(_trie[0]);
        foreach (var b in key)
        {
            if (b == 0)
                return null;
            node ^= b;
            if (node >= _trie.Length)
                return null;
            var unit = _trie[node];
            if ((unit & 0x800000FF) != b)
                return null;
            node ^= Offset(unit);
            if ((unit >> 8 & 1) != 0)
                return node < _trie.Length ? Replacement((int)(_trie[node] & 0x7FFFFFFF)) : null;
        }

        return null;
    }

    private static uint Offset(uint unit) => unit >> 10 << (int)((unit & 1u << 9) >> 6);

    private string? Replacement(int start)
    {
        if (start > _pool.Length)
            return null;
        var rest = _pool.AsSpan(start);
        var end = rest.IndexOf((byte)0);
        return System.Text.Encoding.UTF8.GetString(end < 0 ? rest : rest[..end]);
    }
}
