using System.Numerics;

namespace MergeKit.Core.Evaluation.Statistics;

/// <summary>The Mersenne Twister MT19937 seeded and drawn from as CPython's <c>random.Random</c> does, so that few-shot draws and
/// bootstraps equal those of lm-evaluation-harness (Matsumoto and Nishimura 1998). A stream: use one instance per task.</summary>
public sealed class MersenneTwister
{
    private const int Size = 624;
    private const int Shift = 397;

    private readonly uint[] _state = new uint[Size];
    private int _index = Size;

    /// <summary>Seeds with the absolute value of an integer of any size, in words of 32 bits.</summary>
    public MersenneTwister(BigInteger seed)
    {
        seed = BigInteger.Abs(seed);
        var key = new List<uint>();
        do
        {
            key.Add((uint)(seed & uint.MaxValue));
            seed >>= 32;
        }
        while (!seed.IsZero);
        SeedByArray(key);
    }

    /// <summary>The next 32 bits.</summary>
    public uint NextUInt32()
    {
        if (_index == Size)
            Refill();
        var y = _state[_index++];
        y ^= y >> 11;
        y ^= (y << 7) & 0x9D2C5680;
        y ^= (y << 15) & 0xEFC60000;
        return y ^ (y >> 18);
    }

    /// <summary><c>getrandbits(k)</c> for k from 0 up: words of 32 bits, the lowest first.</summary>
    public BigInteger NextBits(int bits)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bits);
        BigInteger value = 0;
        for (var done = 0; done < bits; done += 32)
        {
            var take = Math.Min(32, bits - done);
            value |= (BigInteger)(NextUInt32() >> (32 - take)) << done;
        }

        return value;
    }

    /// <summary><c>random()</c>: 53 bits in [0, 1).</summary>
    public double NextDouble()
    {
        var (high, low) = (NextUInt32() >> 5, NextUInt32() >> 6);
        return ((high * 67108864.0) + low) / 9007199254740992.0;
    }

    /// <summary>A whole number below <paramref name="limit"/>, by rejection; 0 draws nothing.</summary>
    public int NextBelow(int limit)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(limit);
        if (limit == 0)
            return 0;
        var shift = BitOperations.LeadingZeroCount((uint)limit);
        uint value;
        do
            value = NextUInt32() >> shift;
        while (value >= limit);
        return (int)value;
    }

    /// <summary><c>sample(range(population), count)</c>: without repetition.</summary>
    public int[] Sample(int population, int count)
    {
        if (count < 0 || count > population)
            throw new EvaluationException(EvaluationError.InvalidParameter, $"a sample of {count} from {population} items: larger than the population or negative");
        var result = new int[count];
        var setSize = 21.0 + (count > 5 ? Math.Pow(4, Math.Ceiling(Math.Log(count * 3) / Math.Log(4))) : 0);
        if (population <= setSize)
        {
            var pool = Enumerable.Range(0, population).ToArray();
            for (var i = 0; i < count; i++)
            {
                var j = NextBelow(population - i);
                result[i] = pool[j];
                pool[j] = pool[population - i - 1];
            }

            return result;
        }

        var chosen = new HashSet<int>();
        for (var i = 0; i < count; i++)
        {
            var j = NextBelow(population);
            while (!chosen.Add(j))
                j = NextBelow(population);
            result[i] = j;
        }

        return result;
    }

    /// <summary><c>choices(range(population), k=count)</c>: with repetition.</summary>
    public int[] Choices(int population, int count)
    {
        var result = new int[count];
        for (var i = 0; i < count; i++)
            result[i] = (int)Math.Floor(NextDouble() * population);
        return result;
    }

    private void Seed(uint seed)
    {
        _state[0] = seed;
        for (var i = 1; i < Size; i++)
            _state[i] = (1812433253 * (_state[i - 1] ^ (_state[i - 1] >> 30))) + (uint)i;
    }

    private void SeedByArray(List<uint> key)
    {
        Seed(19650218);
        var (i, j) = (1, 0);
        for (var k = Math.Max(Size, key.Count); k > 0; k--)
        {
            _state[i] = (_state[i] ^ ((_state[i - 1] ^ (_state[i - 1] >> 30)) * 1664525)) + key[j] + (uint)j;
            j = (j + 1) % key.Count;
            i = Advance(i);
        }

        for (var k = Size - 1; k > 0; k--)
        {
            _state[i] = (_state[i] ^ ((_state[i - 1] ^ (_state[i - 1] >> 30)) * 1566083941)) - (uint)i;
            i = Advance(i);
        }

        _state[0] = 0x80000000;
    }

    private int Advance(int i)
    {
        if (++i < Size)
            return i;
        _state[0] = _state[Size - 1];
        return 1;
    }

    private void Refill()
    {
        for (var i = 0; i < Size; i++)
        {
            var y = (_state[i] & 0x80000000) | (_state[(i + 1) % Size] & 0x7FFFFFFF);
            _state[i] = _state[(i + Shift) % Size] ^ (y >> 1) ^ ((y & 1) == 0 ? 0 : 0x9908B0DF);
        }

        _index = 0;
    }
}
