using System.Globalization;

namespace MergeKit.Core.Merging.Planning;

/// <summary>What the matrix decompositions of a plan cost.</summary>
/// <param name="Count">How many matrices are decomposed.</param>
/// <param name="Largest">The most expensive one's shape.</param>
/// <param name="Operations">Floating-point operations, about.</param>
/// <param name="Seconds">Time, about.</param>
/// <param name="Bytes">Memory that is held while the largest are decomposed.</param>
/// <param name="Place">Where and how they are decomposed.</param>
public sealed record MatrixCost(int Count, string Largest, double Operations, double Seconds, long Bytes, string Place)
{
    /// <summary>The cost of a plan, or null where it decomposes nothing.</summary>
    public static MatrixCost? Of(MergePlan plan)
    {
        ArgumentNullException.ThrowIfNull(plan);
        var (threads, decomposer) = (plan.Options.Threads, plan.Options.Decomposer);
        var tasks = plan.Jobs.SelectMany(job => job.Method.Decompositions(job)).ToList();
        if (tasks.Count == 0)
            return null;
        var costs = tasks.ConvertAll(task => (Task: task, Cost: task.Cost(tasks.TrueForAll(one => one.IsCholesky) ? Cpu : decomposer, threads)));
        var (total, largest) = (costs.Aggregate(default(Numerics.DecompositionCost), (sum, one) => sum + one.Cost), costs.MaxBy(one => one.Cost.Operations).Task);
        var held = plan.Jobs.Where(job => job.Method.Decompositions(job).Any()).Select(job => job.Method.WorkingBytes(job, threads)).OrderDescending().Take(threads).Sum();
        var place = largest.IsCholesky ? "the CPU (Cholesky's decomposition, double precision)" : decomposer.Name;
        return new MatrixCost(tasks.Count, $"{largest.Rows} x {(largest.IsCholesky ? largest.Rows : largest.Columns)}", total.Operations, total.Seconds, held, place);
    }

    /// <summary>The cost in a sentence.</summary>
    public string Sentence => string.Create(CultureInfo.InvariantCulture,
        $"decomposes {Count:N0} {(Count == 1 ? "matrix" : "matrices")}, the largest {Largest}: {new Numerics.DecompositionCost(Operations, Seconds).Sentence} on {Place}; up to {Bytes:N0} bytes are held meanwhile");

    private static Numerics.IDecomposer Cpu { get; } = new Numerics.CpuDecomposer();
}
