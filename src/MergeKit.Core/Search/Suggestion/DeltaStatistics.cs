using System.Numerics.Tensors;
using MergeKit.Core.Inspection;
using MergeKit.Core.Merging;
using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Merging.Planning;

namespace MergeKit.Core.Search.Suggestion;

/// <summary>How task vectors lie to each other.</summary>
/// <param name="Models">The models' names.</param>
/// <param name="BaseNorm">|W_b| over all tensors.</param>
/// <param name="Norms">|D_i|.</param>
/// <param name="Cosines">cos(D_i, D_j).</param>
/// <param name="SignConflicts">Share of the entries that both change in which the signs of D_i and D_j differ.</param>
/// <param name="Interference">sum of |D_i D_j| over the entries whose signs differ, over |D_i| |D_j|: what cancels when they are added. 0.32 for independent
/// normal entries, near 0 where the vectors change different entries.</param>
/// <param name="MagnitudeShares">Share of |D_i|^2 that the largest fifth of its entries hold: near 0.2 for even changes, near 1 for few large ones.</param>
/// <param name="LayerCosines">Per layer the mean of the pairs' cosines; null where there is one model.</param>
public sealed record DeltaStatistics(
    IReadOnlyList<string> Models, double BaseNorm, IReadOnlyList<double> Norms, double[][] Cosines, double[][] SignConflicts, double[][] Interference, IReadOnlyList<double> MagnitudeShares,
    IReadOnlyList<(string Layer, double Cosine)> LayerCosines)
{
    private const int Bins = 256;

    /// <summary>|D_i| / |W_b|.</summary>
    public IReadOnlyList<double> RelativeNorms => [.. Norms.Select(norm => BaseNorm > 0 ? norm / BaseNorm : double.NaN)];

    /// <summary>The mean over the pairs of a symmetric table; NaN for one model.</summary>
    public static double PairMean(double[][] table) => table.Length < 2 ? double.NaN
        : (from i in Enumerable.Range(0, table.Length) from j in Enumerable.Range(i + 1, table.Length - i - 1) select table[i][j]).Average();

    /// <summary>Streams through all tensors of a task-vector plan once, with bounded memory.</summary>
    /// <param name="plan">A merge whose jobs have the base among their sources.</param>
    /// <param name="cancellation">Stops between chunks.</param>
    public static DeltaStatistics Of(MergePlan plan, CancellationToken cancellation)
    {
        var jobs = plan.Jobs.Where(job => job.BaseIndex >= 0 && job.Others.Count > 0).ToArray();
        var count = jobs.Max(job => job.Others.Count);
        var sums = jobs.Select(_ => new Sums(count)).ToArray();
        using (var pool = new WorkerPool(plan.Options.Threads, _ => new WorkerBuffers(plan.RowsPerWorker, plan.ChunkElements), cancellation))
        {
            foreach (var (index, job) in jobs.Index().Where(pair => pair.Item.Others.Count == count))
                pool.Add(worker => Read(new TensorInputs(job, 0, worker), sums[index]));
            pool.Run();
        }

        var total = new Sums(count);
        foreach (var one in sums)
            total.Add(one);
        var layers = jobs.Zip(sums).Where(_ => count > 1).GroupBy(pair => ComponentName.Parse(pair.First.Name).Layer).OrderBy(group => group.Key ?? -1).Select(group =>
        {
            var sum = new Sums(count);
            foreach (var (_, one) in group)
                sum.Add(one);
            return (group.Key is { } layer ? $"layer {layer}" : "outside the layers", PairMean(sum.Cosines()));
        });
        return new DeltaStatistics(
            [.. jobs[0].Others.Select(i => jobs[0].Sources[i].Model)], Math.Sqrt(total.Base), [.. Enumerable.Range(0, count).Select(i => Math.Sqrt(total.Dots[i][i]))],
            total.Cosines(), total.Conflicts(), total.Interference(), [.. Enumerable.Range(0, count).Select(total.MagnitudeShare)], [.. layers]);
    }

    private static void Read(TensorInputs inputs, Sums sums) => inputs.ForEachChunk(chunk =>
    {
        var part = new Sums(sums.Count);
        var origin = chunk.Source(inputs.Job.BaseIndex);
        part.Base = TensorPrimitives.SumOfSquares<float>(origin);
        foreach (var other in inputs.Job.Others)
            TensorPrimitives.Subtract(chunk.Source(other), origin, chunk.Source(other));
        for (var i = 0; i < sums.Count; i++)
        {
            var a = chunk.Source(inputs.Job.Others[i]);
            part.CountMagnitudes(i, a);
            for (var j = i; j < sums.Count; j++)
                part.Pair(i, j, a, chunk.Source(inputs.Job.Others[j]));
        }

        lock (sums)
            sums.Add(part);
    });

    private sealed class Sums(int count)
    {
        public int Count => count;

        public double Base { get; set; }

        public double[][] Dots { get; } = Table(count);

        private double[][] Differing { get; } = Table(count);

        private double[][] Cancelled { get; } = Table(count);

        private double[][] Both { get; } = Table(count);

        /// <summary>Per model and power-of-two-quarter of the magnitude: entries, and the sum of their squares.</summary>
        private double[][] Entries { get; } = [.. Enumerable.Range(0, count).Select(_ => new double[Bins])];

        private double[][] Squares { get; } = [.. Enumerable.Range(0, count).Select(_ => new double[Bins])];

        public void Add(Sums other)
        {
            Base += other.Base;
            foreach (var (mine, theirs) in new[] { (Dots, other.Dots), (Differing, other.Differing), (Cancelled, other.Cancelled), (Both, other.Both), (Entries, other.Entries), (Squares, other.Squares) })
                for (var i = 0; i < count; i++)
                    TensorPrimitives.Add(mine[i], theirs[i], mine[i]);
        }

        public void Pair(int i, int j, ReadOnlySpan<float> a, ReadOnlySpan<float> b)
        {
            var (dot, cancelled, differing, both) = (0.0, 0.0, 0, 0);
            for (var k = 0; k < a.Length; k++)
            {
                var product = (double)a[k] * b[k];
                dot += product;
                cancelled += product < 0 ? -product : 0;
                differing += product < 0 ? 1 : 0;
                both += product != 0 ? 1 : 0;
            }

            (Dots[i][j], Differing[i][j], Cancelled[i][j], Both[i][j]) = (dot, differing, cancelled, both);
            (Dots[j][i], Differing[j][i], Cancelled[j][i], Both[j][i]) = (dot, differing, cancelled, both);
        }

        public void CountMagnitudes(int i, ReadOnlySpan<float> delta)
        {
            foreach (var value in delta)
            {
                var square = (double)value * value;
                var bin = square > 0 ? Math.Clamp((int)(2 * Math.Log2(square)) + 200, 0, Bins - 1) : 0;
                Entries[i][bin]++;
                Squares[i][bin] += square;
            }
        }

        public double MagnitudeShare(int i)
        {
            var (wanted, taken, sum) = (Entries[i].Sum() / 5, 0.0, 0.0);
            for (var bin = Bins - 1; bin >= 0 && taken < wanted; bin--)
            {
                var share = Math.Min(1, (wanted - taken) / Math.Max(1, Entries[i][bin]));
                taken += share * Entries[i][bin];
                sum += share * Squares[i][bin];
            }

            return Squares[i].Sum() is > 0 and var all ? sum / all : 0;
        }

        public double[][] Cosines() => Ratios((i, j) => Dots[i][j], Norms);

        public double[][] Interference() => Ratios((i, j) => Cancelled[i][j], Norms);

        public double[][] Conflicts() => Ratios((i, j) => Differing[i][j], (i, j) => Both[i][j]);

        private double Norms(int i, int j) => Math.Sqrt(Dots[i][i] * Dots[j][j]);

        private double[][] Ratios(Func<int, int, double> above, Func<int, int, double> below) =>
            [.. Enumerable.Range(0, count).Select(i => Enumerable.Range(0, count).Select(j => below(i, j) > 0 ? above(i, j) / below(i, j) : 0).ToArray())];

        private static double[][] Table(int size) => [.. Enumerable.Range(0, size).Select(_ => new double[size])];
    }
}
