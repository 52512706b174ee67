using System.Numerics;
using System.Runtime.InteropServices;

namespace MergeKit.Core.Numerics;

/// <summary>F64, integers and booleans: rare in checkpoints, so plain loops.</summary>
internal static class WideCodec
{
    public static void Decode(DType type, ReadOnlySpan<byte> source, Span<float> destination)
    {
        switch (type)
        {
            case DType.F64: DecodeAs<double>(source, destination); break;
            case DType.Bool or DType.U8: DecodeAs<byte>(source, destination); break;
            case DType.I8: DecodeAs<sbyte>(source, destination); break;
            case DType.U16: DecodeAs<ushort>(source, destination); break;
            case DType.I16: DecodeAs<short>(source, destination); break;
            case DType.U32: DecodeAs<uint>(source, destination); break;
            case DType.I32: DecodeAs<int>(source, destination); break;
            case DType.U64: DecodeAs<ulong>(source, destination); break;
            case DType.I64: DecodeAs<long>(source, destination); break;
            default: throw new ArgumentOutOfRangeException(nameof(type), type, "no codec");
        }
    }

    public static void Encode(DType type, ReadOnlySpan<float> source, Span<byte> destination)
    {
        switch (type)
        {
            case DType.F64: EncodeAs(source, MemoryMarshal.Cast<byte, double>(destination), value => value); break;
            case DType.Bool: EncodeAs(source, destination, value => (byte)(value != 0 ? 1 : 0)); break;
            case DType.U8: EncodeAs(source, destination, Rounded<byte>); break;
            case DType.I8: EncodeAs(source, MemoryMarshal.Cast<byte, sbyte>(destination), Rounded<sbyte>); break;
            case DType.U16: EncodeAs(source, MemoryMarshal.Cast<byte, ushort>(destination), Rounded<ushort>); break;
            case DType.I16: EncodeAs(source, MemoryMarshal.Cast<byte, short>(destination), Rounded<short>); break;
            case DType.U32: EncodeAs(source, MemoryMarshal.Cast<byte, uint>(destination), Rounded<uint>); break;
            case DType.I32: EncodeAs(source, MemoryMarshal.Cast<byte, int>(destination), Rounded<int>); break;
            case DType.U64: EncodeAs(source, MemoryMarshal.Cast<byte, ulong>(destination), Rounded<ulong>); break;
            case DType.I64: EncodeAs(source, MemoryMarshal.Cast<byte, long>(destination), Rounded<long>); break;
            default: throw new ArgumentOutOfRangeException(nameof(type), type, "no codec");
        }
    }

    private static void DecodeAs<T>(ReadOnlySpan<byte> source, Span<float> destination) where T : unmanaged, INumberBase<T>
    {
        var typed = MemoryMarshal.Cast<byte, T>(source);
        for (var i = 0; i < typed.Length; i++)
            destination[i] = float.CreateSaturating(typed[i]);
    }

    private static void EncodeAs<T>(ReadOnlySpan<float> source, Span<T> destination, Func<float, T> convert)
    {
        for (var i = 0; i < source.Length; i++)
            destination[i] = convert(source[i]);
    }

    private static T Rounded<T>(float value) where T : INumberBase<T> =>
        T.CreateSaturating(float.IsNaN(value) ? 0f : MathF.Round(value, MidpointRounding.ToEven));
}
