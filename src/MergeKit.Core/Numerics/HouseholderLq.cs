using System.Numerics.Tensors;

namespace MergeKit.Core.Numerics;

/// <summary>A = [L 0] Q of a matrix with no more rows than columns, by Householder's reflections in panels (Golub and Van Loan, "Matrix computations",
/// section 5.2): a row is read once for all reflections of a panel. The bits do not depend on the number of threads.</summary>
internal sealed class HouseholderLq
{
    private const int PanelBytes = 1 << 19, LeastPanel = 4, MostPanel = 32;
    private readonly double[][] _rows;
    private readonly double[] _factors;
    private readonly int _panel;

    private HouseholderLq(double[][] rows)
    {
        (_rows, _factors) = (rows, new double[rows.Length]);
        _panel = Math.Clamp(PanelBytes / (sizeof(double) * Math.Max(1, rows.Length == 0 ? 1 : rows[0].Length)), LeastPanel, MostPanel);
    }

    /// <summary>Factors a matrix.</summary>
    /// <param name="rows">Its rows; become L, and the reflections' vectors right of its diagonal.</param>
    /// <param name="loop">Where the work is done.</param>
    public static HouseholderLq Of(double[][] rows, ParallelLoop loop)
    {
        var result = new HouseholderLq(rows);
        for (var first = 0; first < rows.Length; first += result._panel)
        {
            var end = Math.Min(rows.Length, first + result._panel);
            for (var k = first; k < end; k++)
            {
                result.Reflect(rows[k], first, k);
                result._factors[k] = MakeReflection(rows[k].AsSpan(k));
            }

            var start = first;
            loop(rows.Length - end, i => result.Reflect(rows[end + i], start, end));
        }

        return result;
    }

    /// <summary>L^T, by rows.</summary>
    public double[][] Transposed()
    {
        var result = new double[_rows.Length][];
        for (var j = 0; j < result.Length; j++)
        {
            result[j] = new double[result.Length];
            for (var i = j; i < result.Length; i++)
                result[j][i] = _rows[i][j];
        }

        return result;
    }

    /// <summary>[x 0] Q for each x, as long as the matrix has rows.</summary>
    public double[][] Expand(double[][] vectors, ParallelLoop loop)
    {
        var result = new double[vectors.Length][];
        loop(vectors.Length, i => vectors[i].CopyTo(result[i] = new double[_rows[0].Length], 0));
        for (var end = _rows.Length; end > 0;)
        {
            var (first, last) = ((end - 1) / _panel * _panel, end);
            loop(result.Length, i =>
            {
                for (var k = last - 1; k >= first; k--)
                    Reflect(result[i], k);
            });
            end = first;
        }

        return result;
    }

    private void Reflect(double[] row, int first, int end)
    {
        for (var k = first; k < end; k++)
            Reflect(row, k);
    }

    /// <summary>row (I - t v v^T), v = [1, what is right of the diagonal].</summary>
    private void Reflect(double[] row, int k)
    {
        if (_factors[k] == 0)
            return;
        var tail = row.AsSpan(k + 1);
        ReadOnlySpan<double> vector = _rows[k].AsSpan(k + 1);
        var amount = _factors[k] * (row[k] + TensorPrimitives.Dot<double>(tail, vector));
        row[k] -= amount;
        TensorPrimitives.MultiplyAdd(vector, -amount, tail, tail);
    }

    /// <summary>Makes the reflection that leaves only the first element; returns its factor t.</summary>
    private static double MakeReflection(Span<double> row)
    {
        var head = row[0];
        var tail = row[1..];
        var norm = TensorPrimitives.Norm<double>(tail);
        if (norm == 0)
            return 0;
        var beta = -Math.CopySign(Math.Sqrt(head * head + norm * norm), head);
        TensorPrimitives.Divide(tail, head - beta, tail);
        row[0] = beta;
        return (beta - head) / beta;
    }
}
