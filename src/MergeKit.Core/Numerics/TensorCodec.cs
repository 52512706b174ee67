using System.Runtime.InteropServices;

namespace MergeKit.Core.Numerics;

/// <summary>Converts between stored elements and float32. Rounding is to nearest, ties to even, once.</summary>
public static class TensorCodec
{
    /// <summary>Widens stored little-endian elements to float32; F64 and 32/64-bit integers are rounded to nearest.</summary>
    /// <param name="type">Stored type.</param>
    /// <param name="source">The bytes; a whole number of elements.</param>
    /// <param name="destination">As many floats as there are elements.</param>
    public static void Decode(DType type, ReadOnlySpan<byte> source, Span<float> destination)
    {
        CheckLength(type, source.Length, destination.Length);
        switch (type)
        {
            case DType.F32: source.CopyTo(MemoryMarshal.AsBytes(destination)); break;
            case DType.BF16: Float16Codec.DecodeBFloat16(MemoryMarshal.Cast<byte, ushort>(source), destination); break;
            case DType.F16: Float16Codec.DecodeHalf(MemoryMarshal.Cast<byte, Half>(source), destination); break;
            case DType.F8E4M3: Float8Codec.Decode(Float8Codec.E4M3, source, destination); break;
            case DType.F8E5M2: Float8Codec.Decode(Float8Codec.E5M2, source, destination); break;
            default: WideCodec.Decode(type, source, destination); break;
        }
    }

    /// <summary>Rounds float32 values to the stored type. Integers saturate; a NaN becomes integer 0.</summary>
    public static void Encode(DType type, ReadOnlySpan<float> source, Span<byte> destination)
    {
        CheckLength(type, destination.Length, source.Length);
        switch (type)
        {
            case DType.F32: MemoryMarshal.AsBytes(source).CopyTo(destination); break;
            case DType.BF16: Float16Codec.EncodeBFloat16(source, MemoryMarshal.Cast<byte, ushort>(destination)); break;
            case DType.F16: Float16Codec.EncodeHalf(source, MemoryMarshal.Cast<byte, Half>(destination)); break;
            case DType.F8E4M3: Float8Codec.Encode(Float8Codec.E4M3, source, destination); break;
            case DType.F8E5M2: Float8Codec.Encode(Float8Codec.E5M2, source, destination); break;
            default: WideCodec.Encode(type, source, destination); break;
        }
    }

    /// <summary>Rounds values in place to what <paramref name="type"/> can hold, still as float32.</summary>
    public static void Round(DType type, Span<float> values)
    {
        if (type is DType.F32 or DType.F64)
            return;
        if (type == DType.BF16)
        {
            Float16Codec.RoundBFloat16(values);
            return;
        }

        Span<byte> stored = stackalloc byte[1024];
        var step = stored.Length / type.Size();
        for (var i = 0; i < values.Length; i += step)
        {
            var part = values.Slice(i, Math.Min(step, values.Length - i));
            Encode(type, part, stored[..(part.Length * type.Size())]);
            Decode(type, stored[..(part.Length * type.Size())], part);
        }
    }

    /// <summary>Whether every value of <paramref name="from"/> is a value of <paramref name="to"/>, so that no rounding is needed.</summary>
    public static bool IsExact(DType from, DType to) => from == to || to is DType.F64 || (to, from) switch
    {
        (DType.F32, DType.F16 or DType.BF16 or DType.F8E4M3 or DType.F8E5M2 or DType.Bool or DType.U8 or DType.I8 or DType.U16 or DType.I16) => true,
        (DType.F16 or DType.BF16, DType.F8E4M3 or DType.F8E5M2) => true,
        _ => false,
    };

    private static void CheckLength(DType type, long bytes, long elements)
    {
        if (bytes != elements * type.Size())
            throw new ArgumentException($"{elements} elements of {type} need {elements * type.Size()} bytes, not {bytes}");
    }
}
