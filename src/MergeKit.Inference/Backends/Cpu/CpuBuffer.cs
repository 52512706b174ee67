using System.Runtime.InteropServices;

namespace MergeKit.Inference.Backends.Cpu;

/// <summary>Native float32 memory, aligned to cache lines, that grows and is reused.</summary>
internal sealed unsafe class CpuBuffer : IBuffer
{
    private float* _data;
    private long _capacity;

    ~CpuBuffer() => Free();

    public int Rows { get; private set; }

    public int Columns { get; private set; }

    public nint Address => (nint)_data;

    /// <summary>Gives the buffer a shape; its contents are undefined where it grows.</summary>
    public CpuBuffer Resize(int rows, int columns)
    {
        var wanted = (long)rows * columns;
        if (wanted > int.MaxValue)
            throw new InvalidOperationException($"a batch of {rows} tokens x {columns} floats is too large for one buffer");
        if (wanted > _capacity)
        {
            Free();
            _data = (float*)NativeMemory.AlignedAlloc(checked((nuint)wanted * sizeof(float)), 64);
            _capacity = wanted;
            GC.AddMemoryPressure(_capacity * sizeof(float));
        }

        (Rows, Columns) = (rows, columns);
        return this;
    }

    /// <summary>All rows.</summary>
    public Span<float> Span => new(_data, Rows * Columns);

    /// <summary>One row.</summary>
    public Span<float> Row(int row) => Span.Slice(row * Columns, Columns);

    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        if (_data is null)
            return;
        NativeMemory.AlignedFree(_data);
        GC.RemoveMemoryPressure(_capacity * sizeof(float));
        _data = null;
        (_capacity, Rows, Columns) = (0, 0, 0);
    }
}
