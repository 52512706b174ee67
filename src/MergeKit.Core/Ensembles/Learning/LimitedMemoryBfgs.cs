namespace MergeKit.Core.Ensembles.Learning;

/// <summary>Where a maximisation ended.</summary>
internal sealed record Maximum(double[] Point, double Value, int Iterations, bool Converged);

/// <summary>L-BFGS for smooth concave functions (Liu and Nocedal 1989) with backtracking: every accepted step climbs.</summary>
internal static class LimitedMemoryBfgs
{
    private const int Memory = 10;

    /// <summary>A function to maximise: writes the gradient, returns the value.</summary>
    public delegate double Objective(double[] point, double[] gradient);

    /// <summary>Maximises from a start until no component of the gradient exceeds the tolerance, or no step climbs any more.</summary>
    public static Maximum Maximize(Objective objective, double[] start, double tolerance = 1e-9, int maxIterations = 1000)
    {
        var (point, gradient) = (start.ToArray(), new double[start.Length]);
        var value = objective(point, gradient);
        var pairs = new LinkedList<(double[] Step, double[] Change, double Product)>();
        for (var iteration = 0; iteration < maxIterations; iteration++)
        {
            if (Largest(gradient) <= tolerance)
                return new Maximum(point, value, iteration, Converged: true);
            var direction = Direction(gradient, pairs);
            if (!(Dot(direction, gradient) > 0))
            {
                pairs.Clear();
                direction = [.. gradient];
            }

            if (Search(objective, point, value, gradient, direction, pairs.Count == 0) is not { } next)
            {
                if (pairs.Count == 0)
                    return new Maximum(point, value, iteration, Converged: false);
                pairs.Clear();
                continue;
            }

            var step = next.Point.Zip(point, (a, b) => a - b).ToArray();
            var change = gradient.Zip(next.Gradient, (a, b) => a - b).ToArray();
            if (Dot(step, change) is var product && product > 1e-300)
                pairs.AddLast((step, change, product));
            if (pairs.Count > Memory)
                pairs.RemoveFirst();
            (point, value, gradient) = (next.Point, next.Value, next.Gradient);
        }

        return new Maximum(point, value, maxIterations, Converged: false);
    }

    private static double[] Direction(double[] gradient, LinkedList<(double[] Step, double[] Change, double Product)> pairs)
    {
        var direction = gradient.ToArray();
        var factors = new Stack<double>();
        for (var node = pairs.Last; node is not null; node = node.Previous)
        {
            factors.Push(Dot(node.Value.Step, direction) / node.Value.Product);
            Add(direction, -factors.Peek(), node.Value.Change);
        }

        if (pairs.Last is { Value: var last })
        {
            var scale = last.Product / Dot(last.Change, last.Change);
            for (var i = 0; i < direction.Length; i++)
                direction[i] *= scale;
        }

        for (var node = pairs.First; node is not null; node = node.Next)
            Add(direction, factors.Pop() - (Dot(node.Value.Change, direction) / node.Value.Product), node.Value.Step);
        return direction;
    }

    /// <summary>Halves the step until the value rises enough (Armijo).</summary>
    private static (double[] Point, double Value, double[] Gradient)? Search(
        Objective objective, double[] point, double value, double[] gradient, double[] direction, bool first)
    {
        var slope = Dot(direction, gradient);
        for (var length = first ? Math.Min(1, 1 / Math.Sqrt(slope)) : 1; length > 1e-14; length /= 2)
        {
            var trial = point.ToArray();
            Add(trial, length, direction);
            var (at, reached) = (new double[point.Length], 0.0);
            reached = objective(trial, at);
            if (reached >= value + (1e-4 * length * slope) && reached > value)
                return (trial, reached, at);
        }

        return null;
    }

    private static double Dot(double[] a, double[] b) => System.Numerics.Tensors.TensorPrimitives.Dot<double>(a, b);

    private static void Add(double[] to, double factor, double[] vector)
    {
        for (var i = 0; i < to.Length; i++)
            to[i] += factor * vector[i];
    }

    private static double Largest(double[] values) => values.Max(Math.Abs);
}
