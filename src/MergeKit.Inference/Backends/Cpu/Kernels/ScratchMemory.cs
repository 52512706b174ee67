using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>A growing block of pinned managed memory at a multiple of 64 bytes, so that nothing has to be freed.</summary>
internal sealed unsafe class ScratchMemory
{
    private const int AlignmentFloats = 16;
    private float[] _block = [];

    /// <summary>At least <paramref name="floats"/> floats; contents are undefined and an earlier answer is void if the block grew.</summary>
    public float* Reserve(long floats)
    {
        if (_block.Length < floats + AlignmentFloats)
            _block = GC.AllocateUninitializedArray<float>(checked((int)(floats + AlignmentFloats)), pinned: true);
        var address = (nuint)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(_block));
        return (float*)((address + 63) & ~(nuint)63);
    }
}

/// <summary>A counter with a cache line to itself.</summary>
[StructLayout(LayoutKind.Explicit, Size = 192)]
internal struct PaddedCounter
{
    /// <summary>The count.</summary>
    [FieldOffset(64)]
    public long Value;
}
