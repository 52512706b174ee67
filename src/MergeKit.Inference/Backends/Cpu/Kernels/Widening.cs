using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using MergeKit.Core.Numerics;

namespace MergeKit.Inference.Backends.Cpu.Kernels;

/// <summary>Floating-point elements as stored, widened to float32.</summary>
internal static unsafe class Widening
{
    /// <summary>Widens elements at an address.</summary>
    public static void ToSingle(nint data, DType type, Span<float> values)
    {
        var count = values.Length;
        switch (type)
        {
            case DType.F32:
                new ReadOnlySpan<byte>((byte*)data, checked(count * 4)).CopyTo(MemoryMarshal.AsBytes(values));
                break;
            case DType.BF16:
                Shift((ushort*)data, values);
                break;
            case DType.F16:
                TensorPrimitives.ConvertToSingle(new ReadOnlySpan<Half>((Half*)data, count), values);
                break;
            case DType.F64:
                for (var i = 0; i < count; i++)
                    values[i] = (float)((double*)data)[i];
                break;
            case DType.F8E4M3:
                for (var i = 0; i < count; i++)
                    values[i] = E4M3(((byte*)data)[i]);
                break;
            case DType.F8E5M2:
                for (var i = 0; i < count; i++)
                    values[i] = (float)BitConverter.UInt16BitsToHalf((ushort)(((byte*)data)[i] << 8));
                break;
            default:
                throw new ArgumentException($"{type} is not a floating-point type", nameof(type));
        }
    }

    private static void Shift(ushort* data, Span<float> values)
    {
        var bits = MemoryMarshal.Cast<float, uint>(values);
        for (var i = 0; i < bits.Length; i++)
            bits[i] = (uint)data[i] << 16;
    }

    /// <summary>1 sign, 4 exponent (bias 7), 3 mantissa bits; no infinities, S.1111.111 is NaN.</summary>
    private static float E4M3(byte value)
    {
        var (exponent, mantissa) = ((value >> 3) & 15, value & 7);
        var magnitude = (exponent, mantissa) switch
        {
            (15, 7) => float.NaN,
            (0, _) => mantissa * (1f / 512),
            _ => MathF.ScaleB(1 + mantissa / 8f, exponent - 7),
        };
        return (value & 0x80) != 0 ? -magnitude : magnitude;
    }
}
