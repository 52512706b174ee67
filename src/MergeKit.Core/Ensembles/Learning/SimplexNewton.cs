using MathNet.Numerics.LinearAlgebra;

namespace MergeKit.Core.Ensembles.Learning;

/// <summary>Newton's method for a linear mixture within the simplex, by an active set: weights at 0 stay there while their g_k is at most 1.</summary>
internal static class SimplexNewton
{
    private const double Negligible = 1e-14;

    /// <summary>Better weights, or null where no step of this kind climbs.</summary>
    public static double[]? Step(LinearMixture mixture, double[] weights, double[] ratios, double value)
    {
        var free = Enumerable.Range(0, weights.Length).Where(k => weights[k] > Negligible || ratios[k] > 1).ToArray();
        if (free.Length < 2)
            return null;
        var direction = Direction(mixture, weights, ratios, free);
        if (direction is null)
            return null;
        var trial = new double[weights.Length];
        var scratch = new double[weights.Length];
        for (var length = Longest(weights, free, direction); length > 1e-10; length /= 2)
        {
            for (var i = 0; i < free.Length; i++)
                trial[free[i]] = Math.Max(0, weights[free[i]] + (length * direction[i]));
            var sum = trial.Sum();
            for (var k = 0; k < trial.Length; k++)
                trial[k] = trial[k] / sum < Negligible ? 0 : trial[k] / sum;
            if (ValueOf(mixture, trial, scratch) > value)
                return trial;
        }

        return null;
    }

    /// <summary>Solves H d = -(g - mu 1), sum d = 0 over the free weights; H = -mean_t r r^T, r = p / m.</summary>
    private static double[]? Direction(LinearMixture mixture, double[] weights, double[] gradient, int[] free)
    {
        var (n, ratios) = (free.Length, mixture.Ratios(weights));
        var system = Matrix<double>.Build.Dense(n + 1, n + 1);
        var right = Vector<double>.Build.Dense(n + 1);
        for (var i = 0; i < n; i++)
        {
            for (var j = 0; j <= i; j++)
            {
                var sum = 0.0;
                for (var t = 0; t < mixture.Positions; t++)
                    sum += ratios[(t * mixture.Members) + free[i]] * ratios[(t * mixture.Members) + free[j]];
                system[i, j] = system[j, i] = sum / mixture.Positions;
            }

            system[i, i] *= 1 + 1e-12;
            system[i, n] = system[n, i] = 1;
            right[i] = gradient[free[i]];
        }

        var solution = system.Solve(right).ToArray()[..n];
        return solution.All(double.IsFinite) && solution.Any(d => d != 0) ? solution : null;
    }

    /// <summary>The longest step, at most 1, that leaves the simplex nowhere.</summary>
    private static double Longest(double[] weights, int[] free, double[] direction)
    {
        var longest = 1.0;
        for (var i = 0; i < free.Length; i++)
            if (direction[i] < 0 && weights[free[i]] > 0)
                longest = Math.Min(longest, weights[free[i]] / -direction[i]);
        return longest;
    }

    private static double ValueOf(LinearMixture mixture, double[] weights, double[] scratch)
    {
        try
        {
            return mixture.Evaluate(weights, scratch);
        }
        catch (LearningException)
        {
            return double.NegativeInfinity;
        }
    }
}
