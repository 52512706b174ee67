using System.Numerics;
using System.Runtime.InteropServices;

namespace MergeKit.Inference.Backends.Cuda.Kernels;

/// <summary>What tells the variants of the merge's kernels apart.</summary>
/// <param name="Sources">Sources of every tensor, the base included.</param>
/// <param name="Type">Their type: 0 float32, 1 bf16, 2 float16, 3 each its own.</param>
/// <param name="Scheme">0 weighted sum, 1 sum of task vectors, 2 their vote.</param>
/// <param name="Trim">0 none, 1 by rank of magnitude, 2 random, 3 by mask.</param>
/// <param name="Normalize">Whether a vote is divided by the weights that count.</param>
/// <param name="Stored">Type that results are rounded to.</param>
/// <param name="Out">Type that is written.</param>
/// <param name="Cuts">Cuts per task vector: 1, or 2.</param>
internal readonly record struct MergeForm(int Sources, int Type, int Scheme, int Trim, bool Normalize, int Stored, int Out, int Cuts);

/// <summary>One output tensor, as the device reads it.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct MergeTensorRow
{
    public long Count;
    public nint Target;
    public long Columns, Pitch;
    public int FirstTile, Vector;
    public float Divisor, Lambda;
}

/// <summary>One source of one tensor.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct MergeSourceRow
{
    public const int Everything = 0, Nothing = 1, Trim = 2;

    public nint Data;
    public ulong Key;
    public double Amount, Density, Epsilon;
    public int Type, Rule;
    public float Factor, Weight;
    public uint Below;
    public int Unused;
}

/// <summary>One cut through a task vector's magnitudes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct MergeCutRow
{
    public const int KeepLargest = 0, DropSmallest = 1, DropLargest = 2;

    public long Rank, Above, Ties, Last;
    public uint Bits;
    public int Side;
}

/// <summary>The merge's kernels: many tensors in each launch.</summary>
internal static class MergeKernels
{
    /// <summary>Elements of one tensor that a block takes.</summary>
    public const int TileElements = 16384;

    /// <summary>The most sources.</summary>
    public const int MostSources = 16;

    /// <summary>Counters of one histogram.</summary>
    public const int Bins = 2048;

    private const int Threads = 256, Sorters = 512, TilesPerHistogram = 8, LeastSorted = 64;

    /// <summary>Elements that a thread moves at once.</summary>
    public static int Vector(int sources) => sources <= 5 ? 8 : 4;

    /// <summary>Shared memory to rank a row.</summary>
    public static long RankBytes(long length) => 12 * Math.Max(LeastSorted, (long)BitOperations.RoundUpToPowerOf2((ulong)length));

    /// <summary>The variants that tests compile.</summary>
    public static IEnumerable<KernelSpec> Variants()
    {
        foreach (var sources in new[] { 2, 3, 9, MostSources })
        {
            foreach (var (type, stored, output) in new[] { (0, 0, 0), (1, 1, 1), (2, 2, 1), (3, 1, 0), (3, 2, 2) })
            {
                var form = new MergeForm(sources, type, 0, 0, false, stored, output, 1);
                yield return Combine(form);
                foreach (var trim in Enumerable.Range(0, 4))
                {
                    yield return Combine(form with { Scheme = 1, Trim = trim });
                    yield return Combine(form with { Scheme = 2, Trim = trim, Normalize = trim < 2 });
                }
            }

            var bf16 = new MergeForm(sources, 1, 1, 1, false, 1, 1, 2);
            foreach (var trim in Enumerable.Range(1, 3))
                yield return Sums(bf16 with { Trim = trim }, "sums", arc: false);
            yield return Sums(bf16, "finish_sums", arc: false);
            foreach (var cuts in new[] { 1, 2 })
                foreach (var digit in Enumerable.Range(0, 3))
                    foreach (var entry in new[] { "histogram", "pick" })
                        yield return Select(bf16 with { Cuts = cuts }, entry, digit);
            yield return Select(bf16, "count_ties", 2);
            yield return Select(bf16, "place", 2);
            yield return Rank(bf16 with { Trim = 3 }, 4096);
        }

        yield return Sums(new MergeForm(2, 1, 0, 0, false, 1, 1, 1), "sums", arc: true);
        yield return Sums(new MergeForm(2, 1, 0, 0, false, 1, 1, 1), "finish_sums", arc: true);
    }

    /// <summary>The elementwise step.</summary>
    public static void LaunchCombine(CudaContext cuda, in MergeForm form, in Parameters p) => cuda.Kernel(Combine(form)).Launch(cuda.Stream, (p.Tiles, 1, 1), Threads, p);

    /// <summary>Whole-tensor sums, and factors made of them.</summary>
    public static void LaunchSums(CudaContext cuda, in MergeForm form, bool arc, in Parameters p)
    {
        cuda.Kernel(Sums(form, "sums", arc)).Launch(cuda.Stream, (Blocks(p.Tiles, Threads / 32), 1, 1), Threads, p);
        cuda.Kernel(Sums(form, "finish_sums", arc)).Launch(cuda.Stream, (Blocks(p.Count * form.Sources, Threads), 1, 1), Threads, p);
    }

    /// <summary>All cuts.</summary>
    public static void LaunchSelect(CudaContext cuda, in MergeForm form, in Parameters p)
    {
        var cuts = p.Count * form.Sources * form.Cuts;
        for (var digit = 0; digit < 3; digit++)
        {
            cuda.Stream.Fill(p.Histograms, 0, HistogramBytes(form, p.Count));
            cuda.Kernel(Select(form, "histogram", digit)).Launch(cuda.Stream, (Blocks(p.Tiles, TilesPerHistogram), 1, 1), Threads, p);
            cuda.Kernel(Select(form, "pick", digit)).Launch(cuda.Stream, (cuts, 1, 1), Threads, p);
        }

        cuda.Kernel(Select(form, "count_ties", 2)).Launch(cuda.Stream, (p.Tiles, 1, 1), Threads, p);
        cuda.Kernel(Select(form, "place", 2)).Launch(cuda.Stream, (cuts, 1, 1), Threads, p);
    }

    /// <summary>What stays of the rows of one tensor; the mask is zero before.</summary>
    public static void LaunchRank(CudaContext cuda, in MergeForm form, long rows, in Parameters p) =>
        cuda.Kernel(Rank(form, p.Line)).Launch(cuda.Stream, (checked((int)rows), form.Sources - 1, 1), Sorters, p);

    /// <summary>Bytes of all histograms.</summary>
    public static long HistogramBytes(in MergeForm form, int tensors) => 2L * tensors * form.Sources * Bins * sizeof(uint);

    private static int Blocks(int count, int each) => (count + each - 1) / each;

    private static KernelSpec Combine(in MergeForm form) => new("Merge", "combine",
        [.. Common(form), ("SCHEME", form.Scheme), ("NORMALIZE", form.Normalize ? 1 : 0), ("STORED", form.Stored), ("OUT", form.Out)])
    { AllowSpills = form.Sources > 5 };

    private static KernelSpec Sums(in MergeForm form, string entry, bool arc) => new("MergeSums", entry, [.. Common(form), ("ARC", arc ? 1 : 0)]) { AllowSpills = form.Sources > 5 };

    private static KernelSpec Select(in MergeForm form, string entry, int digit)
    {
        var slots = digit == 0 ? 1 : form.Cuts;
        return new KernelSpec("MergeSelect", entry, [.. Common(form), ("DIGIT", digit), ("CUTS", form.Cuts)])
        {
            AllowSpills = form.Sources > 5,
            SharedBytes = entry == "histogram" ? (form.Sources - 1) * slots * (digit == 0 ? Bins : Bins / 2) * sizeof(uint) : 0,
        };
    }

    private static KernelSpec Rank(in MergeForm form, int line)
    {
        var bytes = (int)RankBytes(line);
        return new KernelSpec("MergeRank", "rank_rows", [.. Common(form), ("SORTED", bytes / 12)]) { SharedBytes = bytes };
    }

    private static IEnumerable<(string, int)> Common(MergeForm form) => [("SOURCES", form.Sources), ("SRC", form.Type), ("TRIM", form.Trim)];

    /// <summary>The one parameter of all these kernels.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct Parameters
    {
        public nint Tensors, Sources, Cuts, Owners, Mask, Histograms, Ties, Partial, Sums, NotFinite;
        public int Tiles, Count, Tensor, Line;
    }
}
