namespace MergeKit.Core.Numerics;

/// <summary>The two 8-bit floats of the OCP FP8 specification (Micikevicius et al. 2022, arXiv 2209.05433).</summary>
internal sealed class Float8Codec
{
    /// <summary>Bias 7, largest 448, no infinities, NaN = 0x7F and 0xFF; overflow gives NaN, as in PyTorch.</summary>
    public static readonly Float8Codec E4M3 = new(mantissaBits: 3, bias: 7, hasInfinity: false);

    /// <summary>Bias 15, largest 57344, infinities; overflow gives infinity.</summary>
    public static readonly Float8Codec E5M2 = new(mantissaBits: 2, bias: 15, hasInfinity: true);

    private readonly float[] _values = new float[256];
    private readonly int _mantissaBits;
    private readonly int _bias;
    private readonly byte _overflow;
    private readonly byte _largest;

    private Float8Codec(int mantissaBits, int bias, bool hasInfinity)
    {
        (_mantissaBits, _bias) = (mantissaBits, bias);
        _overflow = hasInfinity ? (byte)0x7C : (byte)0x7F;
        _largest = (byte)(_overflow - 1);
        for (var code = 0; code < 256; code++)
            _values[code] = Value(code, hasInfinity);
    }

    public static void Decode(Float8Codec codec, ReadOnlySpan<byte> source, Span<float> destination)
    {
        var values = codec._values;
        for (var i = 0; i < source.Length; i++)
            destination[i] = values[source[i]];
    }

    public static void Encode(Float8Codec codec, ReadOnlySpan<float> source, Span<byte> destination)
    {
        for (var i = 0; i < source.Length; i++)
            destination[i] = codec.Nearest(source[i]);
    }

    private float Value(int code, bool hasInfinity)
    {
        var mantissa = code & ((1 << _mantissaBits) - 1);
        var exponent = (code & 0x7F) >> _mantissaBits;
        var sign = code >= 128 ? -1f : 1f;
        if (hasInfinity && exponent == 31)
            return mantissa == 0 ? sign * float.PositiveInfinity : float.NaN;
        if (!hasInfinity && (code & 0x7F) == 0x7F)
            return float.NaN;
        var scale = MathF.ScaleB(1f, Math.Max(exponent, 1) - _bias - _mantissaBits);
        return sign * scale * (mantissa + (exponent > 0 ? 1 << _mantissaBits : 0));
    }

    private byte Nearest(float value)
    {
        var sign = float.IsNegative(value) ? (byte)0x80 : (byte)0;
        if (float.IsNaN(value))
            return (byte)(sign | 0x7F);
        var magnitude = MathF.Abs(value);
        if (float.IsInfinity(magnitude))
            return (byte)(sign | _overflow);
        var exponent = Math.Max(magnitude == 0 ? int.MinValue : MathF.ILogB(magnitude), 1 - _bias);
        var units = MathF.Round(MathF.ScaleB(magnitude, _mantissaBits - exponent), MidpointRounding.ToEven);
        var code = (exponent + _bias - 1) * (1 << _mantissaBits) + (int)units;
        return (byte)(sign | (code > _largest ? _overflow : code));
    }
}
