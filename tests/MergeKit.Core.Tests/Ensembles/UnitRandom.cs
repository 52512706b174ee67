namespace MergeKit.Core.Tests.Ensembles;

/// <summary>Uniform numbers for random problems.</summary>
internal static class UnitRandom
{
    /// <summary>Uniform on [0, 1).</summary>
    public static double NextDouble(this SplitMix random) => (random.Next() >> 11) * (1.0 / (1UL << 53));
}
