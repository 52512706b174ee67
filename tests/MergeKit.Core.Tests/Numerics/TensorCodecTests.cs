using MergeKit.Core.Numerics;

namespace MergeKit.Core.Tests.Numerics;

/// <summary>Every bit pattern of the small floats against formulas of the formats, and rounding between all neighbours.</summary>
public class TensorCodecTests
{
    public static TheoryData<DType, int, int, int, bool> SmallFloats => new()
    {
        { DType.BF16, 8, 7, 127, true },
        { DType.F16, 5, 10, 15, true },
        { DType.F8E5M2, 5, 2, 15, true },
        { DType.F8E4M3, 4, 3, 7, false },
    };

    [Theory]
    [MemberData(nameof(SmallFloats))]
    public void Every_pattern_decodes_by_the_formula_and_comes_back(DType type, int exponentBits, int mantissaBits, int bias, bool hasInfinity)
    {
        var count = 1 << (1 + exponentBits + mantissaBits);
        var values = Decode(type, Enumerable.Range(0, count));
        for (var code = 0; code < count; code++)
            Assert.Equal(Formula(code, exponentBits, mantissaBits, bias, hasInfinity), values[code]);
        var back = Encode(type, values);
        for (var code = 0; code < count; code++)
        {
            if (float.IsNaN(values[code]))
                Assert.True(float.IsNaN(Decode(type, [back[code]])[0]));
            else
                Assert.Equal(code, back[code]);
        }
    }

    [Theory]
    [MemberData(nameof(SmallFloats))]
    public void Values_between_neighbours_go_to_the_nearest_and_ties_to_the_even_one(DType type, int exponentBits, int mantissaBits, int bias, bool hasInfinity)
    {
        Assert.Equal(hasInfinity, exponentBits != 4);
        Assert.True(bias > 0);
        var positive = Decode(type, Enumerable.Range(0, 1 << (exponentBits + mantissaBits)));
        var last = Array.FindLastIndex(positive, float.IsFinite);
        var (inputs, wanted) = (new List<float>(), new List<int>());
        for (var code = 0; code < last; code++)
        {
            var middle = (float)(((double)positive[code] + positive[code + 1]) / 2);
            if (middle == positive[code] || middle == positive[code + 1])
                continue; // no float32 lies between two of these
            inputs.AddRange([MathF.BitDecrement(middle), middle, MathF.BitIncrement(middle), -middle]);
            var even = code % 2 == 0 ? code : code + 1;
            wanted.AddRange([code, even, code + 1, even + (1 << (exponentBits + mantissaBits))]);
        }

        Assert.NotEmpty(inputs);
        Assert.Equal(wanted, Encode(type, [.. inputs]));
    }

    [Theory]
    [InlineData(DType.BF16, float.MaxValue, float.PositiveInfinity)]
    [InlineData(DType.F16, 65520f, float.PositiveInfinity)]
    [InlineData(DType.F16, 65519f, 65504f)]
    [InlineData(DType.F8E5M2, 61440f, float.PositiveInfinity)]
    [InlineData(DType.F8E5M2, 61439f, 57344f)]
    [InlineData(DType.F8E4M3, 464f, 448f)]
    [InlineData(DType.F8E4M3, 465f, float.NaN)]
    public void Overflow(DType type, float value, float wanted)
    {
        Assert.Equal(wanted, Decode(type, Encode(type, [value]))[0]);
        Assert.Equal(-wanted, Decode(type, Encode(type, [-value]))[0]);
    }

    /// <summary>Lengths beside every vector width take the same results as single elements.</summary>
    [Theory]
    [InlineData(DType.BF16)]
    [InlineData(DType.F16)]
    [InlineData(DType.F32)]
    [InlineData(DType.F64)]
    public void Lengths_beside_vector_widths(DType type)
    {
        for (var length = 0; length <= 70; length++)
        {
            var random = new CounterRandom(9, "codec", length);
            var words = new uint[length];
            random.Fill(0, words);
            var values = words.Select(word => ((int)word / 2147483648f) * MathF.Pow(10, (word % 9) - 4f)).ToArray();
            var whole = new byte[length * type.Size()];
            TensorCodec.Encode(type, values, whole);
            var rounded = values.ToArray();
            TensorCodec.Round(type, rounded);
            var decoded = new float[length];
            TensorCodec.Decode(type, whole, decoded);
            Assert.Equal(decoded, rounded);
            for (var i = 0; i < length; i++)
            {
                var one = new byte[type.Size()];
                TensorCodec.Encode(type, values.AsSpan(i, 1), one);
                Assert.Equal(one, whole.AsSpan(i * type.Size(), type.Size()).ToArray());
            }
        }
    }

    [Theory]
    [InlineData(DType.I64, 2.5f, 2f)]
    [InlineData(DType.I32, -3.5f, -4f)]
    [InlineData(DType.U8, 300f, 255f)]
    [InlineData(DType.U8, -1f, 0f)]
    [InlineData(DType.I8, -200f, -128f)]
    [InlineData(DType.U16, float.NaN, 0f)]
    [InlineData(DType.Bool, 0.25f, 1f)]
    public void Integers_round_to_even_and_saturate(DType type, float value, float wanted)
    {
        var bytes = new byte[type.Size()];
        TensorCodec.Encode(type, [value], bytes);
        var back = new float[1];
        TensorCodec.Decode(type, bytes, back);
        Assert.Equal(wanted, back[0]);
    }

    [Fact]
    public void Lengths_that_do_not_fit_are_refused() =>
        Assert.Throws<ArgumentException>(() => TensorCodec.Decode(DType.BF16, new byte[3], new float[1]));

    private static float Formula(int code, int exponentBits, int mantissaBits, int bias, bool hasInfinity)
    {
        var mantissa = code & ((1 << mantissaBits) - 1);
        var exponent = (code >> mantissaBits) & ((1 << exponentBits) - 1);
        var sign = code >> (exponentBits + mantissaBits) == 1 ? -1.0 : 1.0;
        var top = exponent == (1 << exponentBits) - 1;
        if (hasInfinity && top)
            return mantissa == 0 ? (float)(sign * double.PositiveInfinity) : float.NaN;
        if (!hasInfinity && top && mantissa == (1 << mantissaBits) - 1)
            return float.NaN;
        var fraction = (double)mantissa / (1 << mantissaBits);
        return (float)(sign * (exponent == 0 ? fraction * Math.Pow(2, 1 - bias) : (1 + fraction) * Math.Pow(2, exponent - bias)));
    }

    private static float[] Decode(DType type, IEnumerable<int> codes)
    {
        var bytes = codes.SelectMany(code => type.Size() == 1 ? [(byte)code] : BitConverter.GetBytes((ushort)code)).ToArray();
        var values = new float[bytes.Length / type.Size()];
        TensorCodec.Decode(type, bytes, values);
        return values;
    }

    private static int[] Encode(DType type, float[] values)
    {
        var bytes = new byte[values.Length * type.Size()];
        TensorCodec.Encode(type, values, bytes);
        return [.. Enumerable.Range(0, values.Length).Select(i => type.Size() == 1 ? bytes[i] : BitConverter.ToUInt16(bytes, 2 * i))];
    }
}
