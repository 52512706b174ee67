using System.Runtime.InteropServices;
using MergeKit.Core.Architectures;
using MergeKit.Core.Diagnostics;

namespace MergeKit.Inference.Backends.Cpu;

/// <summary>Keys and values of one sequence: per layer [kv head, capacity, width] in float32, all in one block of native memory.</summary>
internal sealed unsafe class CpuKvCache(NetworkSpec network) : IKvCache
{
    private const int FirstCapacity = 32;

    /// <summary>Bytes from which a block counts for the garbage collector: smaller ones come and go with every batch, and each would make it collect.</summary>
    private const long CountedBytes = 8L << 20;

    private readonly LayerShape[] _shapes = Shapes(network);
    private float* _data;
    private int _capacity;

    ~CpuKvCache() => Free();

    public int Length { get; private set; }

    /// <summary>Positions there is room for.</summary>
    public int Capacity => _capacity;

    public nint Keys(int layer) => (nint)(_data + _shapes[layer].KeyOffset * _capacity);

    public nint Values(int layer) => (nint)(_data + _shapes[layer].ValueOffset * _capacity);

    /// <summary>Where the key of a head at a position is stored.</summary>
    public Span<float> Key(int layer, int head, int position)
    {
        var width = _shapes[layer].KeyDim;
        return new Span<float>((float*)Keys(layer) + ((long)head * _capacity + position) * width, width);
    }

    /// <summary>Where the value of a head at a position is stored.</summary>
    public Span<float> Value(int layer, int head, int position)
    {
        var width = _shapes[layer].ValueDim;
        return new Span<float>((float*)Values(layer) + ((long)head * _capacity + position) * width, width);
    }

    /// <summary>Makes room for more positions and counts them as held.</summary>
    public void Extend(int count)
    {
        var wanted = checked(Length + count);
        if (wanted > _capacity)
            MoveTo(_capacity == 0 ? Math.Max(FirstCapacity, wanted) : (int)Math.Min(int.MaxValue, Math.Max(wanted, _capacity * 2L)));
        Length = wanted;
    }

    public void Truncate(int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        Length = Math.Min(Length, length);
    }

    public IKvCache Fork(int room)
    {
        var copy = new CpuKvCache(network);
        copy.MoveTo(Math.Max(FirstCapacity, checked(Length + room)), this);
        copy.Length = Length;
        return copy;
    }

    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private static LayerShape[] Shapes(NetworkSpec network)
    {
        var (shapes, offset) = (new LayerShape[network.Layers.Count], 0L);
        for (var layer = 0; layer < shapes.Length; layer++)
        {
            var attention = network.Layers[layer].Attention;
            var values = offset + (long)attention.KvHeads * attention.HeadDim;
            shapes[layer] = new LayerShape(attention.KvHeads, attention.HeadDim, attention.ValueDim, offset, values);
            offset = values + (long)attention.KvHeads * attention.ValueDim;
        }

        return shapes;
    }

    private long FloatsPerPosition => _shapes[^1].ValueOffset + (long)_shapes[^1].KvHeads * _shapes[^1].ValueDim;

    /// <summary>Takes a block for more positions and copies what <paramref name="source"/> (or this cache) holds.</summary>
    private void MoveTo(int capacity, CpuKvCache? source = null)
    {
        var bytes = checked(FloatsPerPosition * capacity * sizeof(float));
        float* data;
        try
        {
            data = (float*)NativeMemory.AlignedAlloc(checked((nuint)bytes), 64);
        }
        catch (OutOfMemoryException e)
        {
            throw new EnvironmentException($"no memory for the keys and values of {capacity} positions ({bytes:N0} bytes)", e);
        }

        var (from, fromCapacity, length) = source is null ? ((nint)_data, _capacity, Length) : ((nint)source._data, source._capacity, source.Length);
        if (length > 0)
            foreach (var shape in _shapes)
            {
                Copy((float*)from + shape.KeyOffset * fromCapacity, data + shape.KeyOffset * capacity, shape.KvHeads, shape.KeyDim);
                Copy((float*)from + shape.ValueOffset * fromCapacity, data + shape.ValueOffset * capacity, shape.KvHeads, shape.ValueDim);
            }

        NativeMemory.AlignedFree(_data);
        Uncount();
        _data = data;
        _capacity = capacity;
        if (bytes >= CountedBytes)
            GC.AddMemoryPressure(bytes);

        void Copy(float* old, float* place, int heads, int width)
        {
            var size = (long)length * width * sizeof(float);
            for (var head = 0; head < heads; head++)
                Buffer.MemoryCopy(old + (long)head * fromCapacity * width, place + (long)head * capacity * width, size, size);
        }
    }

    private void Free()
    {
        if (_data is null)
            return;
        NativeMemory.AlignedFree(_data);
        Uncount();
        _data = null;
        (_capacity, Length) = (0, 0);
    }

    private void Uncount()
    {
        var bytes = FloatsPerPosition * _capacity * sizeof(float);
        if (bytes >= CountedBytes)
            GC.RemoveMemoryPressure(bytes);
    }

    /// <summary>Offsets are floats per position.</summary>
    private readonly record struct LayerShape(int KvHeads, int KeyDim, int ValueDim, long KeyOffset, long ValueOffset);
}
