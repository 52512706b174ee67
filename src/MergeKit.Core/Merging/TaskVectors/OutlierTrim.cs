using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace MergeKit.Core.Merging.TaskVectors;

/// <summary>Model Breadcrumbs' trimming: the largest magnitudes (outliers) and the smallest go, what lies between stays.</summary>
internal static class OutlierTrim
{
    /// <summary>How many entries are dropped: <c>top = floor(gamma n)</c>, <c>bottom = n - floor(density n) - top</c>; where that is negative, fewer
    /// outliers go, so that floor(density n) entries stay.</summary>
    public static (long Bottom, long Top) Counts(double density, double gamma, long count)
    {
        var top = (long)(gamma * count);
        var bottom = count - TaskVectorScheme.Keep(density, count) - top;
        return bottom < 0 ? (0, top + bottom) : (bottom, top);
    }

    /// <summary>The trimmers of several task vectors, by exact cuts that are found together.</summary>
    public static Trimmer[] Make(TensorInputs inputs, IReadOnlyList<(int Source, double Density, double Gamma)> wanted)
    {
        var targets = new List<CutTarget>();
        foreach (var (source, density, gamma) in wanted)
        {
            var (bottom, top) = Counts(density, gamma, inputs.Count);
            if (bottom > 0 && bottom + top < inputs.Count)
                targets.Add(CutTarget.OfDelta(inputs, source, inputs.Count - bottom, CutSide.DropSmallest));
            if (top > 0 && bottom + top < inputs.Count)
                targets.Add(CutTarget.OfDelta(inputs, source, top + 1, CutSide.DropLargest));
        }

        var cuts = new Queue<MagnitudeCut>(MagnitudeCut.Find(inputs, targets));
        return [.. wanted.Select(one => Of(Counts(one.Density, one.Gamma, inputs.Count), inputs.Count, cuts))];
    }

    private static Trimmer Of((long Bottom, long Top) counts, long count, Queue<MagnitudeCut> cuts)
    {
        if (counts.Bottom + counts.Top >= count)
            return new Trimmer((delta, _, _) => delta.Clear());
        var (bottom, top) = (counts.Bottom > 0 ? cuts.Dequeue() : (MagnitudeCut?)null, counts.Top > 0 ? cuts.Dequeue() : (MagnitudeCut?)null);
        return new Trimmer((delta, start, _) =>
        {
            if (bottom is { } low)
            {
                var first = delta[..FirstSide(low, start, delta.Length)];
                KeepBetween(first, low.Bits + 1, uint.MaxValue);
                KeepBetween(delta[first.Length..], low.Bits, uint.MaxValue);
            }

            if (top is { } high)
            {
                var first = delta[..FirstSide(high, start, delta.Length)];
                KeepBetween(first, 0, high.Bits + 1);
                KeepBetween(delta[first.Length..], 0, high.Bits);
            }
        });
    }

    /// <summary>How many of a range's entries have an index up to the cut's last tie.</summary>
    private static int FirstSide(MagnitudeCut cut, long start, int length) =>
        cut.LastTie - start >= length - 1 ? length : (int)Math.Max(0, cut.LastTie - start + 1);

    /// <summary>Keeps entries whose magnitude bits are in [least, end).</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void KeepBetween(Span<float> delta, uint least, uint end)
    {
        ref var to = ref Unsafe.As<float, uint>(ref MemoryMarshal.GetReference(delta));
        var (magnitude, low, width) = (Vector512.Create(0x7FFFFFFFu), Vector512.Create(least), Vector512.Create(end - least));
        var i = 0;
        for (; i <= delta.Length - Vector512<uint>.Count; i += Vector512<uint>.Count)
        {
            var bits = Vector512.LoadUnsafe(ref to, (nuint)i);
            (bits & Vector512.LessThan((bits & magnitude) - low, width)).StoreUnsafe(ref to, (nuint)i);
        }

        for (; i < delta.Length; i++)
            delta[i] = (BitConverter.SingleToUInt32Bits(delta[i]) & 0x7FFFFFFFu) - least < end - least ? delta[i] : 0;
    }
}
