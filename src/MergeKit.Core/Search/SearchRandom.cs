using MergeKit.Core.Numerics;

namespace MergeKit.Core.Search;

/// <summary>A sequence of random numbers that is a pure function of seed, stream and position, so that a search replayed from its journal draws the same.</summary>
internal sealed class SearchRandom(ulong seed, ulong stream)
{
    private ulong _next;

    /// <summary>Evenly distributed in (0, 1): 53 bits, never 0 or 1.</summary>
    public double Uniform()
    {
        var (a, b, _, _) = Philox.Block(seed, _next++, stream);
        return (((((ulong)a << 32) | b) >> 12) + 0.5) / (1UL << 52);
    }

    /// <summary>From the standard normal law.</summary>
    public double Normal() => MathNet.Numerics.Distributions.Normal.InvCDF(0, 1, Uniform());
}
