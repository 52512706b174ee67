using System.Runtime.InteropServices;

namespace MergeKit.Core.Merging.Execution;

/// <summary>A worker's aligned memory: one float row per source and scratch row, and one row of bytes. Allocated once.</summary>
public sealed unsafe class WorkerBuffers : IDisposable
{
    private const int Alignment = 64;
    private readonly int _rows;
    private readonly int _chunk;
    private float* _floats;
    private byte* _bytes;

    /// <summary>Room for <paramref name="rows"/> rows of <paramref name="chunk"/> floats, and 8 bytes per element beside.</summary>
    public WorkerBuffers(int rows, int chunk)
    {
        (_rows, _chunk) = (rows, chunk);
        _floats = (float*)NativeMemory.AlignedAlloc(checked((nuint)rows * (nuint)chunk * sizeof(float)), Alignment);
        try
        {
            _bytes = (byte*)NativeMemory.AlignedAlloc(checked((nuint)chunk * sizeof(double)), Alignment);
        }
        catch
        {
            NativeMemory.AlignedFree(_floats);
            throw;
        }
    }

    /// <summary>Bytes held by a worker of this size.</summary>
    public static long Size(int rows, int chunk) => (long)rows * chunk * sizeof(float) + (long)chunk * sizeof(double);

    /// <summary>Elements of one row.</summary>
    public int ChunkElements => _chunk;

    /// <summary>A float row.</summary>
    public Span<float> Row(int index)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)index, (uint)_rows);
        return new Span<float>(_floats + (nint)index * _chunk, _chunk);
    }

    /// <summary>The byte row: stored elements on their way in or out.</summary>
    public Span<byte> Bytes => new(_bytes, _chunk * sizeof(double));

    /// <inheritdoc/>
    public void Dispose()
    {
        NativeMemory.AlignedFree(_floats);
        NativeMemory.AlignedFree(_bytes);
        _floats = null;
        _bytes = null;
    }
}
