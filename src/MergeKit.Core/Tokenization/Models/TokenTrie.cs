using System.Numerics;

namespace MergeKit.Core.Tokenization.Models;

/// <summary>A trie over UTF-16 units, as one open-addressing table from (node, unit) to node.</summary>
internal sealed class TokenTrie
{
    /// <summary>The node before any unit.</summary>
    public const int Root = 0;

    private ulong[] _keys;
    private int[] _nodes;
    private int[] _values = new int[256];
    private int _count = 1;

    /// <summary>The trie of all tokens that are not empty; the value of a token is what it maps to.</summary>
    public TokenTrie(IEnumerable<KeyValuePair<string, int>> tokens)
    {
        (_keys, _nodes) = (new ulong[512], new int[512]);
        _values[0] = -1;
        foreach (var (token, value) in tokens)
        {
            var node = Root;
            foreach (var unit in token)
                node = GetOrAdd(node, unit);
            if (node != Root && _values[node] < 0)
                _values[node] = value;
        }
    }

    /// <summary>Goes from a node to the next by a unit; false where no token goes on so. The value is -1 where none ends.</summary>
    public bool Step(ref int node, char unit, out int value)
    {
        var slot = Slot(Key(node, unit));
        if (_keys[slot] == 0)
        {
            value = -1;
            return false;
        }

        node = _nodes[slot];
        value = _values[node];
        return true;
    }

    // Node 0 with unit 0 would be the empty key, hence the shift by one.
    private static ulong Key(int node, char unit) => ((ulong)node << 16 | unit) + 1;

    private int Slot(ulong key)
    {
        var mask = _keys.Length - 1;
        var slot = (int)(key * 0x9E3779B97F4A7C15UL >> (64 - BitOperations.Log2((uint)_keys.Length)));
        while (_keys[slot] != 0 && _keys[slot] != key)
            slot = slot + 1 & mask;
        return slot;
    }

    private int GetOrAdd(int node, char unit)
    {
        var slot = Slot(Key(node, unit));
        if (_keys[slot] != 0)
            return _nodes[slot];
        if (2 * _count > _keys.Length)
        {
            Grow();
            slot = Slot(Key(node, unit));
        }

        if (_count == _values.Length)
            Array.Resize(ref _values, 2 * _count);
        (_keys[slot], _nodes[slot], _values[_count]) = (Key(node, unit), _count, -1);
        return _count++;
    }

    private void Grow()
    {
        var (keys, nodes) = (_keys, _nodes);
        (_keys, _nodes) = (new ulong[2 * keys.Length], new int[2 * keys.Length]);
        for (var i = 0; i < keys.Length; i++)
        {
            if (keys[i] == 0)
                continue;
            var slot = Slot(keys[i]);
            (_keys[slot], _nodes[slot]) = (keys[i], nodes[i]);
        }
    }
}
