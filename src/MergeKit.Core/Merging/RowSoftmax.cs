using System.Numerics.Tensors;

namespace MergeKit.Core.Merging;

/// <summary>Softmax distributions of the rows of two sources, compared in double precision without holding a row.</summary>
internal static class RowSoftmax
{
    /// <summary>Accumulators per row: greatest element and sum of exponentials, for both sources.</summary>
    public const int Width = 4;

    private const int Tile = 512;
    private const double Floor = 1e-8;

    /// <summary>Kullback-Leibler divergence per row: sum p log(p/q) with p = softmax(X) + 1e-8, q = softmax(Y) + 1e-8. Two passes.</summary>
    /// <param name="inputs">The tensor.</param>
    /// <param name="columns">Length of a row.</param>
    /// <param name="x">Source X.</param>
    /// <param name="y">Source Y.</param>
    public static double[] Divergence(TensorInputs inputs, long columns, int x, int y)
    {
        var rows = inputs.ReduceRows(columns, Width, (chunk, offset, length, sums) =>
        {
            Exponentials(chunk.Source(x).Slice(offset, length), sums);
            Exponentials(chunk.Source(y).Slice(offset, length), sums[2..]);
        }, (total, piece) =>
        {
            Join(total, piece);
            Join(total[2..], piece[2..]);
        });
        return inputs.ReduceRows(columns, 1, (chunk, offset, length, sums) =>
        {
            var row = (int)((chunk.Start + offset) / columns);
            sums[0] = Divergence(chunk.Source(x).Slice(offset, length), chunk.Source(y).Slice(offset, length), rows.AsSpan(row * Width, Width));
        });
    }

    /// <summary>The greatest element m and sum exp(e - m).</summary>
    private static void Exponentials(ReadOnlySpan<float> row, Span<double> sums)
    {
        Span<double> wide = stackalloc double[Tile];
        sums[0] = TensorPrimitives.Max(row);
        for (var at = 0; at < row.Length; at += Tile)
        {
            var part = wide[..Math.Min(Tile, row.Length - at)];
            TensorPrimitives.ConvertTruncating<float, double>(row.Slice(at, part.Length), part);
            TensorPrimitives.Subtract(part, sums[0], part);
            TensorPrimitives.Exp(part, part);
            sums[1] += TensorPrimitives.Sum<double>(part);
        }
    }

    private static void Join(Span<double> total, ReadOnlySpan<double> piece)
    {
        var greatest = Math.Max(total[0], piece[0]);
        total[1] = total[1] * Math.Exp(total[0] - greatest) + piece[1] * Math.Exp(piece[0] - greatest);
        total[0] = greatest;
    }

    private static double Divergence(ReadOnlySpan<float> x, ReadOnlySpan<float> y, ReadOnlySpan<double> row)
    {
        Span<double> p = stackalloc double[Tile], q = stackalloc double[Tile];
        var sum = 0.0;
        for (var at = 0; at < x.Length; at += Tile)
        {
            var length = Math.Min(Tile, x.Length - at);
            var first = p[..length];
            var second = q[..length];
            Probabilities(x.Slice(at, length), row[0], row[1], first);
            Probabilities(y.Slice(at, length), row[2], row[3], second);
            TensorPrimitives.Divide(first, second, second);
            TensorPrimitives.Log(second, second);
            sum += TensorPrimitives.Dot<double>(first, second);
        }

        return sum;
    }

    private static void Probabilities(ReadOnlySpan<float> row, double greatest, double sum, Span<double> result)
    {
        TensorPrimitives.ConvertTruncating<float, double>(row, result);
        TensorPrimitives.Subtract(result, greatest, result);
        TensorPrimitives.Exp(result, result);
        TensorPrimitives.Divide(result, sum, result);
        TensorPrimitives.Add(result, Floor, result);
    }
}
