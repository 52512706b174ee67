using MergeKit.Core.Numerics;

namespace MergeKit.Tests.Support;

/// <summary>Decodes stored elements to double, independently of the library's own codecs.</summary>
public static class ElementDecoder
{
    /// <summary>All elements of a little-endian buffer.</summary>
    public static double[] Decode(DType type, byte[] bytes)
    {
        var size = type.Size();
        var values = new double[bytes.Length / size];
        for (var i = 0; i < values.Length; i++)
            values[i] = Decode(type, bytes, i * size);
        return values;
    }

    /// <summary>The gap between neighbouring numbers of the type around <paramref name="value"/>.</summary>
    public static double Spacing(DType type, double value)
    {
        var (digits, lowest) = type switch
        {
            DType.F64 => (52, -1022),
            DType.F32 => (23, -126),
            DType.BF16 => (7, -126),
            DType.F16 => (10, -14),
            _ => throw new ArgumentException($"{type} has no spacing here", nameof(type)),
        };
        var exponent = value == 0 ? lowest : Math.Max(lowest, Math.ILogB(value));
        return Math.ScaleB(1, exponent - digits);
    }

    private static double Decode(DType type, byte[] bytes, int at) => type switch
    {
        DType.F64 => BitConverter.ToDouble(bytes, at),
        DType.F32 => BitConverter.ToSingle(bytes, at),
        DType.F16 => Small(BitConverter.ToUInt16(bytes, at), 5, 10, hasInfinity: true),
        DType.BF16 => BitConverter.Int32BitsToSingle(BitConverter.ToUInt16(bytes, at) << 16),
        DType.F8E5M2 => Small(bytes[at], 5, 2, hasInfinity: true),
        DType.F8E4M3 => Small(bytes[at], 4, 3, hasInfinity: false),
        DType.I64 => BitConverter.ToInt64(bytes, at),
        DType.U64 => BitConverter.ToUInt64(bytes, at),
        DType.I32 => BitConverter.ToInt32(bytes, at),
        DType.U32 => BitConverter.ToUInt32(bytes, at),
        DType.I16 => BitConverter.ToInt16(bytes, at),
        DType.U16 => BitConverter.ToUInt16(bytes, at),
        DType.I8 => (sbyte)bytes[at],
        DType.U8 or DType.Bool => bytes[at],
        _ => throw new ArgumentException($"unknown type {type}", nameof(type)),
    };

    /// <summary>Sign, exponent, mantissa by the definition: (-1)^s 2^(e - bias) (1 + m / 2^M), subnormal where e = 0.</summary>
    private static double Small(int bits, int exponentBits, int mantissaBits, bool hasInfinity)
    {
        var mantissa = bits & ((1 << mantissaBits) - 1);
        var exponent = (bits >> mantissaBits) & ((1 << exponentBits) - 1);
        var sign = (bits >> (mantissaBits + exponentBits)) != 0 ? -1.0 : 1.0;
        var (bias, top, fraction) = ((1 << (exponentBits - 1)) - 1, (1 << exponentBits) - 1, mantissa / (double)(1 << mantissaBits));
        if (exponent == top && hasInfinity)
            return mantissa == 0 ? sign * double.PositiveInfinity : double.NaN;
        if (exponent == top && mantissa == (1 << mantissaBits) - 1)
            return double.NaN;
        return exponent == 0 ? sign * Math.ScaleB(fraction, 1 - bias) : sign * Math.ScaleB(1 + fraction, exponent - bias);
    }
}
