using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace MergeKit.Core.Numerics;

/// <summary>bfloat16 and binary16, vectorised.</summary>
internal static class Float16Codec
{
    private const int Lanes = 16;

    public static void DecodeHalf(ReadOnlySpan<Half> source, Span<float> destination) =>
        TensorPrimitives.ConvertToSingle(source, destination);

    public static void EncodeHalf(ReadOnlySpan<float> source, Span<Half> destination) =>
        TensorPrimitives.ConvertToHalf(source, destination);

    /// <summary>bfloat16 is the upper half of a float32: shift left by 16.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void DecodeBFloat16(ReadOnlySpan<ushort> source, Span<float> destination)
    {
        var i = 0;
        ref var from = ref MemoryMarshal.GetReference(source);
        ref var to = ref Unsafe.As<float, uint>(ref MemoryMarshal.GetReference(destination));
        for (; i <= source.Length - 2 * Lanes; i += 2 * Lanes)
        {
            var (low, high) = Vector512.Widen(Vector512.LoadUnsafe(ref from, (nuint)i));
            (low << 16).StoreUnsafe(ref to, (nuint)i);
            (high << 16).StoreUnsafe(ref to, (nuint)(i + Lanes));
        }

        for (; i < source.Length; i++)
            destination[i] = BitConverter.UInt32BitsToSingle((uint)source[i] << 16);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void EncodeBFloat16(ReadOnlySpan<float> source, Span<ushort> destination)
    {
        var i = 0;
        ref var from = ref MemoryMarshal.GetReference(source);
        ref var to = ref MemoryMarshal.GetReference(destination);
        for (; i <= source.Length - 2 * Lanes; i += 2 * Lanes)
        {
            var low = RoundedBits(Vector512.LoadUnsafe(ref from, (nuint)i)) >> 16;
            var high = RoundedBits(Vector512.LoadUnsafe(ref from, (nuint)(i + Lanes))) >> 16;
            Vector512.Narrow(low, high).StoreUnsafe(ref to, (nuint)i);
        }

        for (; i < source.Length; i++)
            destination[i] = (ushort)(RoundedBits(source[i]) >> 16);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void RoundBFloat16(Span<float> values)
    {
        var i = 0;
        ref var at = ref MemoryMarshal.GetReference(values);
        for (; i <= values.Length - Lanes; i += Lanes)
        {
            var bits = RoundedBits(Vector512.LoadUnsafe(ref at, (nuint)i)) & Vector512.Create(0xFFFF0000u);
            bits.AsSingle().StoreUnsafe(ref at, (nuint)i);
        }

        for (; i < values.Length; i++)
            values[i] = BitConverter.UInt32BitsToSingle(RoundedBits(values[i]) & 0xFFFF0000u);
    }

    /// <summary>Bits whose upper half is the value rounded to nearest even; a NaN stays a (quiet) NaN.</summary>
    private static uint RoundedBits(float value)
    {
        var bits = BitConverter.SingleToUInt32Bits(value);
        return float.IsNaN(value) ? bits | 0x00400000u : bits + 0x7FFFu + ((bits >> 16) & 1u);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<uint> RoundedBits(Vector512<float> value)
    {
        var bits = value.AsUInt32();
        var rounded = bits + Vector512.Create(0x7FFFu) + ((bits >> 16) & Vector512.Create(1u));
        var isNumber = Vector512.Equals(value, value).AsUInt32();
        return Vector512.ConditionalSelect(isNumber, rounded, bits | Vector512.Create(0x00400000u));
    }
}
