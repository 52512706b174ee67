using System.Globalization;
using System.Numerics.Tensors;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Inspection;
using MergeKit.Core.Merging;
using MergeKit.Core.Merging.Planning;

namespace MergeKit.Core.Reports;

/// <summary>Where a merge changed the model: per layer and component the relative norm of the change, and how often the task vectors'
/// signs disagree. The reference is the base, or the first model where there is none.</summary>
public static class ChangeMap
{
    private const int ChunkElements = 32768;

    private readonly record struct Sums(double Change, double Reference, long Conflicts, long Moved)
    {
        public static Sums operator +(Sums a, Sums b) => new(a.Change + b.Change, a.Reference + b.Reference, a.Conflicts + b.Conflicts, a.Moved + b.Moved);
    }

    /// <summary>Reads the result and its sources once, with bounded memory.</summary>
    public static IReadOnlyList<LayerDelta> Of(string folder, MergePlan plan, CancellationToken cancellation)
    {
        using var result = Checkpoint.Open(folder);
        var jobs = plan.Jobs.Where(job => job.Sources.Count > 1).ToArray();
        var sums = new Sums[jobs.Length];
        Parallel.For(0, jobs.Length, new ParallelOptions { MaxDegreeOfParallelism = plan.Options.Threads, CancellationToken = cancellation },
            i => sums[i] = Measure(jobs[i], result));
        return
        [
            .. jobs.Zip(sums).GroupBy(pair => ComponentName.Parse(pair.First.Name)).Select(group =>
            {
                var total = group.Aggregate(default(Sums), (sum, pair) => sum + pair.Second);
                return new LayerDelta(
                    group.Key.Layer?.ToString(CultureInfo.InvariantCulture) ?? "outside", group.Key.Component,
                    total.Reference > 0 ? Math.Sqrt(total.Change / total.Reference) : 0, total.Moved > 0 ? (double)total.Conflicts / total.Moved : 0);
            }),
        ];
    }

    private static Sums Measure(TensorJob job, Checkpoint result)
    {
        var reference = Math.Max(0, job.BaseIndex);
        var written = new CheckpointSource(result, result.Get(job.Name), job.Count, null);
        var (origin, values, scratch) = (new float[ChunkElements], new float[ChunkElements], new byte[ChunkElements * sizeof(double)]);
        var signs = new byte[ChunkElements];
        var sums = default(Sums);
        for (var start = 0L; start < job.Count; start += ChunkElements)
        {
            var length = (int)Math.Min(ChunkElements, job.Count - start);
            var (from, to) = (origin.AsMemory(0, length), values.AsMemory(0, length));
            job.Sources[reference].Data.Read(start, from.Span, scratch);
            written.Read(start, to.Span, scratch);
            TensorPrimitives.Subtract(to.Span, from.Span, to.Span);
            sums += new Sums(TensorPrimitives.SumOfSquares<float>(to.Span), TensorPrimitives.SumOfSquares<float>(from.Span), 0, 0);
            signs.AsSpan(0, length).Clear();
            foreach (var source in job.Sources.Where((_, i) => i != reference))
            {
                source.Data.Read(start, to.Span, scratch);
                TensorPrimitives.Subtract(to.Span, from.Span, to.Span);
                Mark(to.Span, signs);
            }

            sums += Count(signs.AsSpan(0, length));
        }

        return sums;
    }

    /// <summary>Bit 0: some task vector is positive here; bit 1: some is negative.</summary>
    private static void Mark(ReadOnlySpan<float> delta, byte[] signs)
    {
        for (var i = 0; i < delta.Length; i++)
            signs[i] |= (byte)((delta[i] > 0 ? 1 : 0) | (delta[i] < 0 ? 2 : 0));
    }

    private static Sums Count(ReadOnlySpan<byte> signs)
    {
        var (conflicts, moved) = (0L, 0L);
        foreach (var sign in signs)
        {
            conflicts += sign == 3 ? 1 : 0;
            moved += sign != 0 ? 1 : 0;
        }

        return new Sums(0, 0, conflicts, moved);
    }
}
