using MergeKit.Core.Numerics;

namespace MergeKit.Cli.Tests.Support;

/// <summary>The tests' decoder against values worked out by hand from the formats' definitions.</summary>
public class ElementDecoderTests
{
    [Theory]
    [InlineData(DType.F16, 0x3C00, 1.0)]
    [InlineData(DType.F16, 0xC000, -2.0)]
    [InlineData(DType.F16, 0x7BFF, 65504.0)]
    [InlineData(DType.F16, 0x0001, 5.9604644775390625e-8)]
    [InlineData(DType.F16, 0x7C00, double.PositiveInfinity)]
    [InlineData(DType.F16, 0x7E00, double.NaN)]
    [InlineData(DType.BF16, 0x3F80, 1.0)]
    [InlineData(DType.BF16, 0xC0A0, -5.0)]
    [InlineData(DType.BF16, 0xFF80, double.NegativeInfinity)]
    [InlineData(DType.F8E4M3, 0x7E, 448.0)]
    [InlineData(DType.F8E4M3, 0x7F, double.NaN)]
    [InlineData(DType.F8E4M3, 0x01, 0.001953125)]
    [InlineData(DType.F8E4M3, 0xB8, -1.0)]
    [InlineData(DType.F8E5M2, 0x7B, 57344.0)]
    [InlineData(DType.F8E5M2, 0x7C, double.PositiveInfinity)]
    [InlineData(DType.F8E5M2, 0x01, 1.52587890625e-5)]
    [InlineData(DType.I8, 0xFF, -1.0)]
    [InlineData(DType.I16, 0xFFFE, -2.0)]
    [InlineData(DType.Bool, 1, 1.0)]
    public void Small_types_decode(DType type, int bits, double value) =>
        Assert.Equal([value], ElementDecoder.Decode(type, type.Size() == 1 ? [(byte)bits] : BitConverter.GetBytes((ushort)bits)));

    [Fact]
    public void Wide_types_decode()
    {
        Assert.Equal([1.5, -0.25], ElementDecoder.Decode(DType.F32, [.. BitConverter.GetBytes(1.5f), .. BitConverter.GetBytes(-0.25f)]));
        Assert.Equal([Math.PI], ElementDecoder.Decode(DType.F64, BitConverter.GetBytes(Math.PI)));
        Assert.Equal([-7.0], ElementDecoder.Decode(DType.I64, BitConverter.GetBytes(-7L)));
        Assert.Equal([4e9], ElementDecoder.Decode(DType.U32, BitConverter.GetBytes(4_000_000_000u)));
    }

    [Theory]
    [InlineData(DType.F32, 1.0, 1.1920928955078125e-7)]
    [InlineData(DType.BF16, 3.0, 0.015625)]
    [InlineData(DType.F16, 0.0, 5.9604644775390625e-8)]
    public void Spacing_is_one_unit_in_the_last_place(DType type, double value, double spacing) => Assert.Equal(spacing, ElementDecoder.Spacing(type, value));
}
