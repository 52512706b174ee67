using System.Runtime.Intrinsics.X86;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Tests.Numerics;

public class PhiloxFillTests
{
    [Theory]
    [InlineData(0, 1)]
    [InlineData(5, 2)]
    [InlineData((1L << 29) - 1, 7)]
    [InlineData((1L << 40) + 3, 8)]
    public void Vector_paths_equal_the_scalar_one(long group, int groups)
    {
        var wanted = new uint[groups * PhiloxFill.GroupWords];
        PhiloxFill.FillScalar(0x1234567890abcdef, group, wanted);
        var actual = new uint[wanted.Length];
        if (Avx512F.IsSupported)
        {
            PhiloxFill.Fill512(0x1234567890abcdef, group, actual);
            Assert.Equal(wanted, actual);
        }

        if (Avx2.IsSupported)
        {
            Array.Clear(actual);
            PhiloxFill.Fill256(0x1234567890abcdef, group, actual);
            Assert.Equal(wanted, actual);
        }
    }

    [Fact]
    public void Any_split_gives_the_same_words()
    {
        var random = new CounterRandom(7, "tensor", 1);
        var whole = new uint[700];
        random.Fill(0, whole);
        foreach (var (start, length) in new[] { (0, 1), (1, 31), (31, 2), (32, 64), (33, 200), (95, 605), (699, 1), (64, 0) })
        {
            var part = new uint[length];
            random.Fill(start, part);
            Assert.Equal(whole[start..(start + length)], part);
        }
    }
}
