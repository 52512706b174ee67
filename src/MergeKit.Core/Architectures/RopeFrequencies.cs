namespace MergeKit.Core.Architectures;

/// <summary>The formulas of rotary frequencies.</summary>
internal static class RopeFrequencies
{
    public static double[] Compute(RopeSpec rope, int length)
    {
        var frequencies = Plain(Base(rope, length), rope.Dim);
        return rope.Scaling switch
        {
            RopeScaling.Linear => [.. frequencies.Select(f => f / rope.Factor)],
            RopeScaling.Yarn => Yarn(rope, frequencies),
            RopeScaling.Llama3 => [.. frequencies.Select(f => Llama3(rope, f))],
            RopeScaling.LongRope => Divide(frequencies, length > rope.OriginalLength ? rope.LongFactors : rope.ShortFactors),
            _ => frequencies,
        };
    }

    private static double[] Plain(double theta, int dim) =>
        [.. Enumerable.Range(0, dim / 2).Select(i => Math.Pow(theta, -2.0 * i / dim))];

    /// <summary>theta (s n / m - (s - 1))^(d / (d - 2)) for n past m.</summary>
    private static double Base(RopeSpec rope, int length)
    {
        if (rope.Scaling != RopeScaling.DynamicNtk || length <= rope.OriginalLength)
            return rope.Theta;
        var growth = rope.Factor * length / rope.OriginalLength - (rope.Factor - 1);
        return rope.Theta * Math.Pow(growth, rope.Dim / (rope.Dim - 2.0));
    }

    private static double[] Divide(double[] frequencies, IReadOnlyList<double> factors) =>
        [.. frequencies.Select((f, i) => f / factors[i])];

    private static double[] Yarn(RopeSpec rope, double[] frequencies)
    {
        var (low, high) = (Index(rope, rope.BetaFast), Index(rope, rope.BetaSlow));
        if (rope.Truncate)
            (low, high) = (Math.Floor(low), Math.Ceiling(high));
        (low, high) = (Math.Max(low, 0), Math.Min(high, rope.Dim - 1));
        if (low == high)
            high += 0.001;
        return [.. frequencies.Select((f, i) =>
        {
            var ramp = Math.Clamp((i - low) / (high - low), 0, 1);
            return f / rope.Factor * ramp + f * (1 - ramp);
        })];
    }

    /// <summary>The index of the frequency that makes the given number of rotations over the trained length.</summary>
    private static double Index(RopeSpec rope, double rotations) =>
        rope.Dim * Math.Log(rope.OriginalLength / (rotations * 2 * Math.PI)) / (2 * Math.Log(rope.Theta));

    private static double Llama3(RopeSpec rope, double frequency)
    {
        var wavelength = 2 * Math.PI / frequency;
        if (wavelength < rope.OriginalLength / rope.HighFrequencyFactor)
            return frequency;
        if (wavelength > rope.OriginalLength / rope.LowFrequencyFactor)
            return frequency / rope.Factor;
        var smooth = (rope.OriginalLength / wavelength - rope.LowFrequencyFactor) / (rope.HighFrequencyFactor - rope.LowFrequencyFactor);
        return (1 - smooth) * frequency / rope.Factor + smooth * frequency;
    }
}
