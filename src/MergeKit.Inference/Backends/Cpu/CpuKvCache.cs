using System.Runtime.InteropServices;
using MergeKit.Core.Architectures;

namespace MergeKit.Inference.Backends.Cpu;

/// <summary>Keys and values of one sequence: per layer [kv head, capacity, width] in float32.</summary>
internal sealed unsafe class CpuKvCache : IKvCache
{
    private const int FirstCapacity = 32;
    private readonly (int KvHeads, int KeyDim, int ValueDim)[] _shapes;
    private readonly nint[] _keys, _values;
    private int _capacity;
    private long _bytes;

    public CpuKvCache(NetworkSpec network)
    {
        _shapes = [.. network.Layers.Select(layer => (layer.Attention.KvHeads, layer.Attention.HeadDim, layer.Attention.ValueDim))];
        (_keys, _values) = (new nint[_shapes.Length], new nint[_shapes.Length]);
    }

    ~CpuKvCache() => Free();

    public int Length { get; private set; }

    /// <summary>Positions there is room for; also the floats per head in units of the width.</summary>
    public int Capacity => _capacity;

    public nint Keys(int layer) => _keys[layer];

    public nint Values(int layer) => _values[layer];

    /// <summary>Where the key of a head at a position is stored.</summary>
    public Span<float> Key(int layer, int head, int position)
    {
        var width = _shapes[layer].KeyDim;
        return new Span<float>((float*)_keys[layer] + ((long)head * _capacity + position) * width, width);
    }

    /// <summary>Where the value of a head at a position is stored.</summary>
    public Span<float> Value(int layer, int head, int position)
    {
        var width = _shapes[layer].ValueDim;
        return new Span<float>((float*)_values[layer] + ((long)head * _capacity + position) * width, width);
    }

    /// <summary>Makes room for more positions and counts them as held.</summary>
    public void Extend(int count)
    {
        var wanted = checked(Length + count);
        if (wanted > _capacity)
            Grow(_capacity == 0 ? Math.Max(FirstCapacity, wanted) : (int)Math.Min(int.MaxValue, Math.Max(wanted, _capacity * 2L)));
        Length = wanted;
    }

    public void Truncate(int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        Length = Math.Min(Length, length);
    }

    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Grow(int capacity)
    {
        long bytes = 0;
        for (var layer = 0; layer < _shapes.Length; layer++)
        {
            var (heads, keyDim, valueDim) = _shapes[layer];
            _keys[layer] = Move(_keys[layer], heads, keyDim, capacity);
            _values[layer] = Move(_values[layer], heads, valueDim, capacity);
            bytes += (long)heads * (keyDim + valueDim) * capacity * sizeof(float);
        }

        GC.AddMemoryPressure(bytes - _bytes);
        (_capacity, _bytes) = (capacity, bytes);
    }

    private nint Move(nint old, int heads, int width, int capacity)
    {
        var data = (float*)NativeMemory.AlignedAlloc(checked((nuint)((long)heads * width * capacity * sizeof(float))), 64);
        for (var head = 0; head < heads && old != 0; head++)
        {
            var bytes = (long)Length * width * sizeof(float);
            Buffer.MemoryCopy((float*)old + (long)head * _capacity * width, data + (long)head * capacity * width, bytes, bytes);
        }

        NativeMemory.AlignedFree((void*)old);
        return (nint)data;
    }

    private void Free()
    {
        for (var layer = 0; layer < _shapes.Length; layer++)
        {
            NativeMemory.AlignedFree((void*)_keys[layer]);
            NativeMemory.AlignedFree((void*)_values[layer]);
            (_keys[layer], _values[layer]) = (0, 0);
        }

        if (_bytes > 0)
            GC.RemoveMemoryPressure(_bytes);
        (_capacity, _bytes, Length) = (0, 0, 0);
    }
}
