namespace MergeKit.Core.Architectures;

/// <summary>How rotary frequencies are stretched beyond the trained length.</summary>
public enum RopeScaling
{
    /// <summary>Not at all.</summary>
    None,

    /// <summary>All frequencies divided by the factor (arXiv 2306.15595).</summary>
    Linear,

    /// <summary>The base grows with the sequence once it is longer than the trained length.</summary>
    DynamicNtk,

    /// <summary>Low frequencies interpolated, high ones kept, a ramp between (arXiv 2309.00071).</summary>
    Yarn,

    /// <summary>As in Llama 3.1: by wavelength against the trained length, a smooth blend between.</summary>
    Llama3,

    /// <summary>One factor per frequency, another list past the trained length (arXiv 2402.13753).</summary>
    LongRope,
}

/// <summary>A rotary position embedding (arXiv 2104.09864).</summary>
public sealed record RopeSpec
{
    /// <summary>Elements of a head that are rotated; even.</summary>
    public required int Dim { get; init; }

    /// <summary>The base of the frequencies base^(-2i/dim).</summary>
    public required double Theta { get; init; }

    /// <summary>Whether pairs are neighbours (2i, 2i+1) instead of halves (i, i + dim/2).</summary>
    public bool Interleaved { get; init; }

    /// <summary>How frequencies are stretched.</summary>
    public RopeScaling Scaling { get; init; }

    /// <summary>The factor of the stretching.</summary>
    public double Factor { get; init; } = 1;

    /// <summary>The trained length that the stretching refers to.</summary>
    public int OriginalLength { get; init; }

    /// <summary>Factor on sine and cosine.</summary>
    public double AttentionFactor { get; init; } = 1;

    /// <summary>YaRN: rotations over the trained length above which a frequency is kept.</summary>
    public double BetaFast { get; init; } = 32;

    /// <summary>YaRN: rotations over the trained length below which a frequency is interpolated.</summary>
    public double BetaSlow { get; init; } = 1;

    /// <summary>YaRN: whether the ramp's ends are rounded to whole indices.</summary>
    public bool Truncate { get; init; } = true;

    /// <summary>Llama 3: the wavelength trained length / this and longer ones are interpolated.</summary>
    public double LowFrequencyFactor { get; init; } = 1;

    /// <summary>Llama 3: the wavelength trained length / this and shorter ones are kept.</summary>
    public double HighFrequencyFactor { get; init; } = 4;

    /// <summary>LongRoPE: divisors up to the trained length, one per frequency.</summary>
    public IReadOnlyList<double> ShortFactors { get; init; } = [];

    /// <summary>LongRoPE: divisors past the trained length, one per frequency.</summary>
    public IReadOnlyList<double> LongFactors { get; init; } = [];

    /// <summary>Whether the frequencies depend on the length of the sequence.</summary>
    public bool DependsOnLength => Scaling is RopeScaling.DynamicNtk or RopeScaling.LongRope;

    /// <summary>The rotation per position of each pair, for a sequence of <paramref name="length"/> positions.</summary>
    public double[] Frequencies(int length) => RopeFrequencies.Compute(this, length);
}
