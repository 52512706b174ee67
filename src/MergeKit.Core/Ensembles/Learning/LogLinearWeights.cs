using MathNet.Numerics.LinearAlgebra;

namespace MergeKit.Core.Ensembles.Learning;

/// <summary>The best exponents of a log-linear mixture.</summary>
/// <param name="Lambdas">Of any sign; a negative one is negative evidence.</param>
/// <param name="At">Value and derivatives there.</param>
/// <param name="Iterations">Steps taken.</param>
/// <param name="Converged">Whether the gradient vanished.</param>
public sealed record LogLinearFit(double[] Lambdas, LogLinearPoint At, int Iterations, bool Converged);

/// <summary>Exponents by Newton's method with halving, or L-BFGS beyond <see cref="NewtonMembers"/> members, whose Hessians would cost more than they save.</summary>
public static class LogLinearWeights
{
    /// <summary>The most members for Newton's method.</summary>
    public const int NewtonMembers = 8;

    /// <summary>Maximises from the prior 1 / K each.</summary>
    /// <param name="objective">What to maximise.</param>
    /// <param name="chosen">Positions to learn from; null: all.</param>
    /// <param name="start">Where to begin; null: 1 / K each.</param>
    /// <param name="tolerance">Largest component of the gradient at the end.</param>
    public static LogLinearFit Fit(LogLinearObjective objective, IReadOnlyList<bool>? chosen = null, IReadOnlyList<double>? start = null, double tolerance = 1e-9)
    {
        double[] from = start?.ToArray() ?? [.. Enumerable.Repeat(1.0 / objective.Members, objective.Members)];
        return objective.Members <= NewtonMembers ? Newton(objective, chosen, from, tolerance) : LimitedMemory(objective, chosen, from, tolerance);
    }

    private static LogLinearFit Newton(LogLinearObjective objective, IReadOnlyList<bool>? chosen, double[] lambdas, double tolerance)
    {
        const int MostSteps = 100;
        var at = objective.Evaluate(lambdas, hessian: true, chosen);
        for (var step = 0; step < MostSteps; step++)
        {
            if (at.Gradient.Max(Math.Abs) <= tolerance)
                return new LogLinearFit(lambdas, at, step, Converged: true);
            var direction = Solve(at);
            LogLinearPoint? next = null;
            for (var length = 1.0; length > 1e-8; length /= 2)
            {
                double[] trial = [.. lambdas.Select((lambda, k) => lambda + (length * direction[k]))];
                next = objective.Evaluate(trial, hessian: true, chosen);
                if (next.Value > at.Value)
                {
                    lambdas = trial;
                    break;
                }

                next = null;
            }

            if (next is null)
                return new LogLinearFit(lambdas, at, step, at.Gradient.Max(Math.Abs) <= 1e-6);
            at = next;
        }

        return new LogLinearFit(lambdas, at, MostSteps, Converged: false);
    }

    /// <summary>-H^-1 g; members that are copies of each other make H singular, hence a trace of ridge.</summary>
    private static double[] Solve(LogLinearPoint at)
    {
        var negative = -Matrix<double>.Build.DenseOfArray(at.Hessian!);
        var ridge = 1e-12 * Math.Max(1e-12, negative.Diagonal().AbsoluteMaximum());
        for (var k = 0; k < negative.RowCount; k++)
            negative[k, k] += ridge;
        var solution = negative.Solve(Vector<double>.Build.DenseOfArray(at.Gradient)).ToArray();
        return solution.All(double.IsFinite) && solution.Zip(at.Gradient, (a, b) => a * b).Sum() > 0 ? solution : at.Gradient;
    }

    private static LogLinearFit LimitedMemory(LogLinearObjective objective, IReadOnlyList<bool>? chosen, double[] start, double tolerance)
    {
        var found = LimitedMemoryBfgs.Maximize((point, gradient) =>
        {
            var at = objective.Evaluate(point, hessian: false, chosen);
            at.Gradient.CopyTo(gradient, 0);
            return at.Value;
        }, start, tolerance);
        return new LogLinearFit(found.Point, objective.Evaluate(found.Point, hessian: true, chosen), found.Iterations, found.Converged);
    }
}
