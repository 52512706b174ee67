using System.Runtime.InteropServices;
using MergeKit.Core.Numerics;
using MergeKit.Inference.Backends.Cpu.Kernels;

namespace MergeKit.Inference.Tests.Backends.Cpu.Kernels;

/// <summary>
/// Random weights of any stored type in native memory, with their values in double precision. Elements between the rows are poison.
/// </summary>
internal sealed unsafe class StoredWeights : IDisposable
{
    private readonly nint _memory;

    public StoredWeights(SplitMix random, DType type, int rows, int columns, int extraStride)
    {
        var stride = columns + extraStride;
        var size = type.Size();
        _memory = (nint)NativeMemory.AllocZeroed((nuint)Math.Max(1, (long)rows * stride * size));
        Matrix = new WeightMatrix(_memory, type, rows, columns, stride);
        Values = new double[rows * columns];
        for (var r = 0; r < rows; r++)
        {
            for (var c = 0; c < stride; c++)
            {
                var bytes = Encode(type, c < columns ? random.Uniform() : float.NaN, out var value);
                new ReadOnlySpan<byte>(&bytes, size).CopyTo(new Span<byte>((byte*)_memory + ((((long)r * stride) + c) * size), size));
                if (c < columns)
                    Values[(r * columns) + c] = value;
            }
        }
    }

    public WeightMatrix Matrix { get; }

    public double[] Values { get; }

    /// <summary>The value of a byte of FP8 E4M3 by its definition.</summary>
    public static double E4M3(byte bits)
    {
        int exponent = (bits >> 3) & 15, mantissa = bits & 7;
        var magnitude = exponent == 15 && mantissa == 7 ? double.NaN
            : exponent == 0 ? mantissa / 8.0 * Math.Pow(2, -6)
            : (1 + (mantissa / 8.0)) * Math.Pow(2, exponent - 7);
        return bits > 127 ? -magnitude : magnitude;
    }

    /// <summary>The value of a byte of FP8 E5M2 by its definition.</summary>
    public static double E5M2(byte bits)
    {
        int exponent = (bits >> 2) & 31, mantissa = bits & 3;
        var magnitude = exponent == 31 ? (mantissa == 0 ? double.PositiveInfinity : double.NaN)
            : exponent == 0 ? mantissa / 4.0 * Math.Pow(2, -14)
            : (1 + (mantissa / 4.0)) * Math.Pow(2, exponent - 15);
        return bits > 127 ? -magnitude : magnitude;
    }

    public void Dispose() => NativeMemory.Free((void*)_memory);

    private static ulong Encode(DType type, float value, out double stored)
    {
        switch (type)
        {
            case DType.F64:
                stored = value;
                return BitConverter.DoubleToUInt64Bits(value);
            case DType.F32:
                stored = value;
                return BitConverter.SingleToUInt32Bits(value);
            case DType.BF16:
                var upper = (BitConverter.SingleToUInt32Bits(value) >> 16) | (float.IsNaN(value) ? 0x40u : 0);
                stored = BitConverter.UInt32BitsToSingle(upper << 16);
                return upper;
            case DType.F16:
                var half = (Half)value;
                stored = (double)half;
                return BitConverter.HalfToUInt16Bits(half);
            default:
                // Any byte of moderate exponent will do; its sign, exponent and mantissa come from the value's own bits.
                var random = BitConverter.SingleToUInt32Bits(value) >> 9;
                var magnitude = float.IsNaN(value) ? 0x7Fu : random % (type == DType.F8E4M3 ? 0x40u : 0x44u);
                var bits = (byte)(magnitude | (value < 0 ? 0x80u : 0));
                stored = type == DType.F8E4M3 ? E4M3(bits) : E5M2(bits);
                return bits;
        }
    }
}
