namespace MergeKit.Tests.Support;

/// <summary>A tiny deterministic generator for test inputs (Steele et al. 2014, SplitMix64).</summary>
public sealed class SplitMix(ulong seed)
{
    private ulong _state = seed;

    /// <summary>64 random bits.</summary>
    public ulong Next()
    {
        var z = _state += 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }

    /// <summary>Below a bound, which is positive.</summary>
    public int Below(int bound) => (int)(Next() % (ulong)bound);

    /// <summary>Uniform between two bounds.</summary>
    public float Uniform(float low = -1, float high = 1) => low + ((high - low) * (float)((Next() >> 40) / 16777216.0));

    /// <summary>Many of <see cref="Uniform"/>.</summary>
    public float[] Array(long count, float low = -1, float high = 1)
    {
        var values = new float[count];
        for (var i = 0; i < values.Length; i++)
            values[i] = Uniform(low, high);
        return values;
    }
}
