using MathNet.Numerics.LinearAlgebra;

namespace MergeKit.Core.Ensembles.Learning;

/// <summary>Standard errors of learned weights with examples as clusters: the positions of one example are not independent (sandwich estimator, with G / (G - 1)).</summary>
public static class WeightErrors
{
    /// <summary>Of linear weights, within the simplex. A weight at the boundary (0, or 1 alone) has no standard error: null.</summary>
    /// <param name="scores">What they were learned from.</param>
    /// <param name="weights">The optimum.</param>
    /// <param name="clusters">The example of each position.</param>
    public static double?[] Linear(GoldLogProbs scores, IReadOnlyList<double> weights, IReadOnlyList<int> clusters)
    {
        int[] free = [.. Enumerable.Range(0, weights.Count).Where(k => weights[k] > 1e-9)];
        var errors = new double?[weights.Count];
        if (free.Length < 2)
            return errors;
        var ratios = new LinearMixture(scores).Ratios(weights.ToArray());
        // Directions within the simplex: every other free weight against the last one.
        var scoresWithin = new double[scores.Positions][];
        for (var t = 0; t < scores.Positions; t++)
        {
            var last = ratios[(t * weights.Count) + free[^1]];
            scoresWithin[t] = [.. free[..^1].Select(k => ratios[(t * weights.Count) + k] - last)];
        }

        var curvature = Matrix<double>.Build.Dense(free.Length - 1, free.Length - 1, (i, j) => scoresWithin.Average(row => row[i] * row[j]));
        if (Sandwich(curvature, scoresWithin, clusters) is not { } covariance)
            return errors;
        for (var i = 0; i < free.Length - 1; i++)
            errors[free[i]] = Root(covariance[i, i]);
        errors[free[^1]] = Root(covariance.Enumerate().Sum());
        return errors;
    }

    /// <summary>Of log-linear exponents.</summary>
    /// <param name="at">The derivatives at the optimum.</param>
    /// <param name="scores">Each position's gradient there.</param>
    /// <param name="clusters">The example of each position.</param>
    public static double?[] LogLinear(LogLinearPoint at, IReadOnlyList<double[]> scores, IReadOnlyList<int> clusters)
    {
        var mean = Enumerable.Range(0, at.Gradient.Length).Select(k => scores.Average(row => row[k])).ToArray();
        var centred = scores.Select(row => row.Zip(mean, (value, centre) => value - centre).ToArray()).ToArray();
        var covariance = Sandwich(-Matrix<double>.Build.DenseOfArray(at.Hessian!), centred, clusters);
        return [.. Enumerable.Range(0, at.Gradient.Length).Select(k => covariance is null ? null : Root(covariance[k, k]))];
    }

    /// <summary>A^-1 B A^-1 with B the clustered covariance of the mean score; null below two clusters or where A is singular.</summary>
    private static Matrix<double>? Sandwich(Matrix<double> curvature, IReadOnlyList<double[]> scores, IReadOnlyList<int> clusters)
    {
        var sums = new Dictionary<int, Vector<double>>();
        for (var t = 0; t < scores.Count; t++)
        {
            var score = Vector<double>.Build.DenseOfArray(scores[t]);
            sums[clusters[t]] = sums.TryGetValue(clusters[t], out var sum) ? sum + score : score;
        }

        if (sums.Count < 2)
            return null;
        var middle = Matrix<double>.Build.Dense(curvature.RowCount, curvature.RowCount);
        foreach (var sum in sums.Values)
            middle += sum.OuterProduct(sum);
        middle *= sums.Count / (sums.Count - 1.0) / Math.Pow(scores.Count, 2);
        var inverse = curvature.Inverse();
        return inverse.Enumerate().All(double.IsFinite) ? inverse * middle * inverse : null;
    }

    private static double? Root(double variance) => double.IsFinite(variance) && variance >= 0 ? Math.Sqrt(variance) : null;
}
