namespace MergeKit.Core.Evaluation.Statistics;

/// <summary>One task of a group: its mean, the standard error of that mean, and its size.</summary>
public readonly record struct TaskScore(double Mean, double StandardError, int Count);

/// <summary>The mean over a group of tasks.</summary>
/// <param name="Micro">Weighted by size.</param>
/// <param name="Macro">Every task alike.</param>
/// <param name="PooledStandardError">sqrt(sum (n_i - 1) n_i se_i^2 / (N - k) / N), as the reference harness prints for both means.</param>
/// <param name="MacroStandardError">sqrt(sum se_i^2) / k, the error of the macro mean.</param>
public sealed record GroupEstimate(double Micro, double Macro, double PooledStandardError, double MacroStandardError)
{
    /// <summary>Combines tasks. Errors: no tasks, or a task without items.</summary>
    public static GroupEstimate Of(IReadOnlyList<TaskScore> tasks)
    {
        if (tasks.Count == 0 || tasks.Any(task => task.Count < 1))
            throw new EvaluationException(EvaluationError.TooFewItems, "a group needs at least one task, and every task at least one item");
        double total = tasks.Sum(task => (double)task.Count);
        var pooled = tasks.Sum(task => task.Count == 1 ? 0 : (task.Count - 1.0) * task.Count * task.StandardError * task.StandardError) / (total - tasks.Count);
        return new GroupEstimate(
            tasks.Sum(task => task.Mean * task.Count) / total,
            tasks.Average(task => task.Mean),
            Math.Sqrt(pooled / total),
            Math.Sqrt(tasks.Sum(task => task.StandardError * task.StandardError)) / tasks.Count);
    }
}

/// <summary>The standard error of a mean over items that come in clusters, such as questions about one passage (Miller 2024).</summary>
/// <param name="Mean">The mean of all items.</param>
/// <param name="Naive">s / sqrt(n), as if items were independent.</param>
/// <param name="Clustered">sqrt(naive^2 + n^-2 sum over clusters of sum_{i != j} d_i d_j), d the deviations from the mean.</param>
/// <param name="ClusteredCorrected">sqrt(G / (G - 1) sum over clusters of (sum d_i)^2) / n; for fewer than some 40 clusters G, with t of G - 1.</param>
/// <param name="Clusters">How many clusters.</param>
public sealed record ClusteredEstimate(double Mean, double Naive, double Clustered, double ClusteredCorrected, int Clusters)
{
    /// <summary>Errors: lengths that differ, or no items.</summary>
    public static ClusteredEstimate Of(IReadOnlyList<double> scores, IReadOnlyList<string> clusters)
    {
        if (scores.Count != clusters.Count)
            throw new EvaluationException(EvaluationError.InvalidParameter, $"{scores.Count} scores but {clusters.Count} cluster names");
        var estimate = Descriptive.Estimate(scores);
        var groups = scores.Zip(clusters).GroupBy(pair => pair.Second, pair => pair.First - estimate.Mean, StringComparer.Ordinal).ToList();
        var cross = groups.Sum(group => Math.Pow(group.Sum(), 2) - group.Sum(d => d * d));
        var squares = groups.Sum(group => Math.Pow(group.Sum(), 2));
        double n = scores.Count, g = groups.Count;
        return new ClusteredEstimate(
            estimate.Mean,
            estimate.StandardError,
            Math.Sqrt(Math.Max(0, (estimate.StandardError * estimate.StandardError) + (cross / (n * n)))),
            Math.Sqrt(g / (g - 1) * squares) / n,
            groups.Count);
    }
}
