using System.Runtime.InteropServices;

namespace MergeKit.Core.Tokenization.Models;

/// <summary>A bounded memory of words and their tokens. A word has two slots: a new one takes
/// the first, what was there moves to the second. Entries never change, so threads may read and set at once without locks.</summary>
internal sealed class WordCache
{
    /// <summary>Longer words are not kept, in UTF-16 units.</summary>
    public const int MaxWord = 32;

    private const int Slots = 1 << 16;
    private readonly Entry?[] _slots = new Entry?[Slots];

    private sealed class Entry(ulong hash, string word, int[] ids)
    {
        public readonly ulong Hash = hash;
        public readonly int First = ids.Length == 1 ? ids[0] : -1;
        public readonly string Word = word;
        public readonly int[] Ids = ids;
    }

    /// <summary>Appends the tokens of a word if they are known.</summary>
    public bool TryAppend(ReadOnlySpan<char> word, ulong hash, TokenList output)
    {
        var slot = (int)(hash >> 48);
        var entry = Volatile.Read(ref _slots[slot]);
        if (entry is null)
            return false;
        if (entry.Hash != hash)
            entry = Volatile.Read(ref _slots[slot ^ 1]);
        if (entry is null || entry.Hash != hash || !word.SequenceEqual(entry.Word))
            return false;
        if (entry.First >= 0)
            output.Add(entry.First);
        else
            output.Add(entry.Ids);
        return true;
    }

    /// <summary>Keeps the tokens of a word.</summary>
    public void Set(ReadOnlySpan<char> word, ulong hash, ReadOnlySpan<int> ids)
    {
        var slot = (int)(hash >> 48);
        if (Volatile.Read(ref _slots[slot]) is { } older)
            Volatile.Write(ref _slots[slot ^ 1], older);
        Volatile.Write(ref _slots[slot], new Entry(hash, word.ToString(), ids.ToArray()));
    }

    /// <summary>A 64-bit hash of a word; its top bits choose the slot.</summary>
    public static ulong Hash(ReadOnlySpan<char> word)
    {
        const ulong k = 0x9E3779B97F4A7C15UL;
        var hash = (ulong)word.Length * k;
        var bytes = MemoryMarshal.AsBytes(word);
        while (bytes.Length >= 8)
        {
            hash = Mix(hash ^ MemoryMarshal.Read<ulong>(bytes));
            bytes = bytes[8..];
        }

        var rest = 0UL;
        if (bytes.Length >= 4)
        {
            rest = MemoryMarshal.Read<uint>(bytes);
            bytes = bytes[4..];
        }

        if (bytes.Length >= 2)
            rest = rest << 16 | MemoryMarshal.Read<ushort>(bytes);
        return Mix(hash ^ rest);
    }

    private static ulong Mix(ulong value)
    {
        var high = Math.BigMul(value ^ 0xA0761D6478BD642FUL, 0xE7037ED1A0B428DBUL, out var low);
        return high ^ low;
    }
}
