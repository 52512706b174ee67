using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Merging.TaskVectors;

/// <summary>Sets entries of a task vector to zero.</summary>
/// <param name="delta">Entries, changed in place.</param>
/// <param name="start">Flat index of the first one.</param>
/// <param name="scratch">A row that may be overwritten, as long as the entries.</param>
internal delegate void TrimStep(Span<float> delta, long start, Span<float> scratch);

/// <summary>The ways of trimming, as steps that can be repeated on any range with the same result.</summary>
internal sealed class Trimmer
{
    /// <summary>Random words made at a time, so that they stay in the first-level cache.</summary>
    private const int WordsAtOnce = 2048;

    private readonly TrimStep _step;

    public Trimmer(TrimStep step) => _step = step;

    /// <summary>Leaves everything.</summary>
    public static Trimmer Nothing { get; } = new((_, _, _) => { });

    public void Apply(Span<float> delta, long start, Span<float> scratch) => _step(delta, start, scratch);

    /// <summary>density 2^32, to nearest.</summary>
    public static uint Bound(double density) => (uint)Math.Clamp(Math.Round(density * 4294967296.0), 0, uint.MaxValue);

    /// <summary>Keeps each entry with probability <paramref name="density"/>: where its random word is below density 2^32.</summary>
    public static Trimmer Random(CounterRandom random, double density)
    {
        var below = Bound(density);
        return new Trimmer((delta, start, scratch) =>
        {
            var words = MemoryMarshal.Cast<float, uint>(scratch)[..Math.Min(delta.Length, WordsAtOnce)];
            for (var at = 0; at < delta.Length; at += words.Length)
            {
                words = words[..Math.Min(words.Length, delta.Length - at)];
                random.Fill(start + at, words);
                KeepBelow(delta.Slice(at, words.Length), words, below);
            }
        });
    }

    /// <summary>Keeps the entries that a cut keeps.</summary>
    public static Trimmer Magnitude(MagnitudeCut cut) => new((delta, start, _) => KeepLargest(delta, start, cut));

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void KeepBelow(Span<float> delta, ReadOnlySpan<uint> words, uint below)
    {
        ref var to = ref Unsafe.As<float, uint>(ref MemoryMarshal.GetReference(delta));
        ref var from = ref MemoryMarshal.GetReference(words);
        var limit = Vector512.Create(below);
        var i = 0;
        for (; i <= delta.Length - Vector512<uint>.Count; i += Vector512<uint>.Count)
        {
            var keep = Vector512.LessThan(Vector512.LoadUnsafe(ref from, (nuint)i), limit);
            (Vector512.LoadUnsafe(ref to, (nuint)i) & keep).StoreUnsafe(ref to, (nuint)i);
        }

        for (; i < delta.Length; i++)
            delta[i] = words[i] < below ? delta[i] : 0;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void KeepLargest(Span<float> delta, long start, MagnitudeCut cut)
    {
        var tiesKept = cut.LastTie - start >= delta.Length - 1;
        var tiesDropped = cut.LastTie < start;
        if (!tiesKept && !tiesDropped)
        {
            var split = (int)(cut.LastTie - start + 1);
            KeepFrom(delta[..split], cut.Bits);
            KeepFrom(delta[split..], cut.Bits + 1);
            return;
        }

        KeepFrom(delta, tiesKept ? cut.Bits : cut.Bits + 1);
    }

    /// <summary>Keeps entries whose magnitude bits are at least <paramref name="least"/>; magnitudes order as their bits do.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void KeepFrom(Span<float> delta, uint least)
    {
        ref var to = ref Unsafe.As<float, uint>(ref MemoryMarshal.GetReference(delta));
        var (magnitude, limit) = (Vector512.Create(0x7FFFFFFFu), Vector512.Create(least));
        var i = 0;
        for (; i <= delta.Length - Vector512<uint>.Count; i += Vector512<uint>.Count)
        {
            var bits = Vector512.LoadUnsafe(ref to, (nuint)i);
            (bits & Vector512.GreaterThanOrEqual(bits & magnitude, limit)).StoreUnsafe(ref to, (nuint)i);
        }

        for (; i < delta.Length; i++)
            delta[i] = (BitConverter.SingleToUInt32Bits(delta[i]) & 0x7FFFFFFFu) >= least ? delta[i] : 0;
    }
}
