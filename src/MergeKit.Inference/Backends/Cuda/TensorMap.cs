using MergeKit.Inference.Backends.Cuda.Interop;

namespace MergeKit.Inference.Backends.Cuda;

/// <summary>How the tensor memory accelerator sees a bf16 tensor: 128 opaque bytes, part of a kernel's parameters.</summary>
internal unsafe struct TensorMap
{
    private const int BFloat16 = 9, Swizzle128Bytes = 3, L2Promotion256Bytes = 3;

    private fixed ulong _words[16];

    /// <summary>Describes a tensor whose tiles are stored in the 128-byte swizzle.</summary>
    /// <param name="address">Its first element, a multiple of 16 bytes.</param>
    /// <param name="extents">Extent of each axis, innermost first.</param>
    /// <param name="strides">Bytes from one index to the next, of the second axis on; multiples of 16.</param>
    /// <param name="box">Extent of a tile; the innermost is 64 elements.</param>
    public static TensorMap Encode(nint address, ReadOnlySpan<ulong> extents, ReadOnlySpan<ulong> strides, ReadOnlySpan<uint> box)
    {
        Span<uint> ones = stackalloc uint[extents.Length];
        ones.Fill(1);
        var room = stackalloc byte[192];
        var aligned = (byte*)(((nint)room + 63) & ~63);
        fixed (ulong* extent = extents, stride = strides)
        fixed (uint* side = box, one = ones)
            CudaException.Check(
                DriverApi.cuTensorMapEncodeTiled(
                    aligned, BFloat16, (uint)extents.Length, address, extent, stride, side, one, 0, Swizzle128Bytes, L2Promotion256Bytes, 0),
                $"cuTensorMapEncodeTiled(extents {string.Join("x", extents.ToArray())}, strides {string.Join(",", strides.ToArray())}, box {string.Join("x", box.ToArray())})");
        return *(TensorMap*)aligned;
    }
}
