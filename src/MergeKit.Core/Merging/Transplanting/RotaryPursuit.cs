using System.Numerics.Tensors;
using MergeKit.Core.Numerics;

namespace MergeKit.Core.Merging.Transplanting;

/// <summary>One term of a combination of turned rows.</summary>
/// <param name="Index">The row.</param>
/// <param name="Position">The position that turns it.</param>
/// <param name="Factor">Its coefficient.</param>
internal readonly record struct TurnedTerm(int Index, double Position, double Factor);

/// <summary>Matching pursuit (Mallat and Zhang 1993) with rows turned by rotary positions: the row x with the greatest |x . r| joins, turned by the position that
/// brings it nearest to the residual r or to -r, whichever turns less; its projection is taken off r. The last coefficients are those of least squares on the
/// turned rows.</summary>
/// <param name="rotation">How positions turn rows.</param>
/// <param name="steps">The most rows in a combination.</param>
/// <param name="parallel">Threads and cancellation.</param>
/// <param name="progress">Told what is done.</param>
internal sealed class RotaryPursuit(Rotation rotation, int steps, ParallelOptions parallel, TransplantProgress progress)
{
    private const double Smallest = 1e-8;
    private static readonly ParallelLoop Here = (count, body) =>
    {
        for (var i = 0; i < count; i++)
            body(i);
    };

    /// <summary>The combinations, and the mean of what they leave: |y - combination| / |y|.</summary>
    /// <param name="rows">The rows, one behind the other.</param>
    /// <param name="width">Elements of a row.</param>
    /// <param name="count">How many vectors are wanted.</param>
    /// <param name="target">Reads one of them.</param>
    public (TurnedTerm[][] Terms, double Residual) Approximate(float[] rows, int width, int count, Func<int, float[]> target)
    {
        progress.Begin(count, "tokens approximated");
        var (terms, residuals) = (new TurnedTerm[count][], new double[count]);
        Parallel.For(0, count, parallel, i =>
        {
            (terms[i], residuals[i]) = One(rows, width, target(i));
            progress.Add(1);
        });
        return (terms, residuals.DefaultIfEmpty(0).Average());
    }

    private (TurnedTerm[], double) One(float[] rows, int width, float[] target)
    {
        var residual = Array.ConvertAll(target, value => (double)value);
        var norm = TensorPrimitives.Norm<double>(residual);
        var (products, single, taken) = (new float[rows.Length / width], new float[width], new HashSet<int>());
        var (chosen, turned) = (new List<(int Index, double Position)>(), new List<double[]>());
        while (chosen.Count < Math.Min(steps, products.Length) && TensorPrimitives.Norm<double>(residual) > Smallest * norm)
        {
            parallel.CancellationToken.ThrowIfCancellationRequested();
            TensorPrimitives.ConvertTruncating<double, float>(residual, single);
            RowProducts.Multiply(single, rows, width, products);
            foreach (var index in taken)
                products[index] = 0;
            var next = TensorPrimitives.IndexOfMaxMagnitude<float>(products);
            if (products[next] == 0 || !float.IsFinite(products[next]))
                break;
            taken.Add(next);
            var x = rows.AsSpan(next * width, width);
            var (position, opposite) = (rotation.Position(x, residual, 1), rotation.Position(x, residual, -1));
            position = Math.Abs(position) < Math.Abs(opposite) ? position : opposite;
            var atom = new double[width];
            rotation.AddTurned(x, position, 1, atom);
            var factor = TensorPrimitives.Dot<double>(residual, atom) / Math.Max(Smallest, TensorPrimitives.SumOfSquares<double>(atom));
            TensorPrimitives.MultiplyAdd(atom, -factor, residual, residual);
            chosen.Add((next, position));
            turned.Add(atom);
        }

        return Solve(chosen, turned, target, norm);
    }

    /// <summary>Least squares on the turned rows.</summary>
    private static (TurnedTerm[], double) Solve(List<(int Index, double Position)> chosen, List<double[]> turned, float[] target, double norm)
    {
        var left = Array.ConvertAll(target, value => (double)value);
        if (turned.Count > left.Length) // more rows than elements: the surplus of the pursuit adds nothing
            (chosen, turned) = (chosen[..left.Length], turned[..left.Length]);
        var (wanted, factors) = ((double[])left.Clone(), new double[turned.Count]);
        var svd = ThinSvd.Of([.. turned.Select(atom => (double[])atom.Clone())], Here);
        for (var k = 0; k < svd.Values.Length; k++)
            TensorPrimitives.MultiplyAdd(svd.Left[k], TensorPrimitives.Dot<double>(svd.Right[k], wanted) / svd.Values[k], factors, factors);
        for (var i = 0; i < factors.Length; i++)
            TensorPrimitives.MultiplyAdd(turned[i], -factors[i], left, left);
        return ([.. chosen.Select((term, i) => new TurnedTerm(term.Index, term.Position, factors[i]))], norm == 0 ? 0 : TensorPrimitives.Norm<double>(left) / norm);
    }
}
