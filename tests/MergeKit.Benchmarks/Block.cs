using System.Runtime.InteropServices;

namespace MergeKit.Benchmarks;

/// <summary>Native memory of pseudo-random bytes that are small numbers as bfloat16 and as float32.</summary>
internal sealed unsafe class Block : IDisposable
{
    public Block(long bytes)
    {
        Bytes = bytes;
        Address = (nint)NativeMemory.AlignedAlloc((nuint)bytes, 64);
        var state = 12345u;
        var pointer = (ushort*)Address;
        for (long i = 0; i < bytes / 2; i++)
        {
            state = (state * 1664525) + 1013904223;
            pointer[i] = (ushort)(0x3C00 | ((state >> 16) & 0x80FF));
        }
    }

    public long Bytes { get; }

    public nint Address { get; private set; }

    public Span<float> Floats => new((void*)Address, checked((int)(Bytes / 4)));

    public void Dispose()
    {
        NativeMemory.AlignedFree((void*)Address);
        Address = 0;
    }
}
