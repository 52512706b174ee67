namespace MergeKit.Core.Architectures;

/// <summary>Slopes of attention with linear biases (arXiv 2108.12409).</summary>
internal static class Alibi
{
    /// <summary>2^(-8i/n) for i = 1..n where n, the number of heads, is a power of two; else those of the power below,
    /// then every other one of twice that power. Rounded to bfloat16, as the models were trained.</summary>
    public static IEnumerable<float> Slopes(int heads)
    {
        var power = (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)heads + 1) / 2;
        var first = Enumerable.Range(1, power).Select(i => Math.Pow(2, -8.0 * i / power));
        var rest = Enumerable.Range(0, heads - power).Select(i => Math.Pow(2, -8.0 * (2 * i + 1) / (2 * power)));
        return first.Concat(rest).Select(slope => Round((float)slope));
    }

    private static float Round(float value)
    {
        var bits = BitConverter.SingleToUInt32Bits(value);
        return BitConverter.UInt32BitsToSingle((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000);
    }
}
