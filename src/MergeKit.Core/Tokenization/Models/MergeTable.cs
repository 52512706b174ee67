using System.Numerics;

namespace MergeKit.Core.Tokenization.Models;

/// <summary>Which pairs of tokens merge into which, in what order: an open-addressing table.</summary>
internal sealed class MergeTable
{
    private readonly ulong[] _pairs;
    private readonly (int Rank, int Id)[] _merges;
    private readonly int _shift;

    /// <summary>A table for at most so many merges.</summary>
    public MergeTable(int capacity)
    {
        var size = BitOperations.RoundUpToPowerOf2((uint)Math.Max(16, 2L * capacity));
        (_pairs, _merges, _shift) = (new ulong[size], new (int, int)[size], 64 - BitOperations.Log2(size));
    }

    /// <summary>No merge.</summary>
    public const int NoRank = int.MaxValue;

    /// <summary>Sets what a pair becomes; a later call for the same pair wins.</summary>
    public void Set(int left, int right, int rank, int id)
    {
        var slot = Slot(Key(left, right));
        (_pairs[slot], _merges[slot]) = (Key(left, right), (rank, id));
    }

    /// <summary>The rank of the pair's merge and the token it gives; <see cref="NoRank"/> where it does not merge.</summary>
    public (int Rank, int Id) Find(int left, int right)
    {
        var slot = Slot(Key(left, right));
        return _pairs[slot] == 0 ? (NoRank, -1) : _merges[slot];
    }

    private static ulong Key(int left, int right) => ((ulong)(uint)left << 32 | (uint)right) + 1;

    private int Slot(ulong key)
    {
        var mask = _pairs.Length - 1;
        var slot = (int)(key * 0x9E3779B97F4A7C15UL >> _shift);
        while (_pairs[slot] != 0 && _pairs[slot] != key)
            slot = slot + 1 & mask;
        return slot;
    }
}
