using System.Numerics;

namespace MergeKit.Core.Numerics;

/// <summary>Makes the rows of a matrix orthogonal by plane rotations of pairs (Hestenes 1958, "Inversion of matrices by biorthogonalization"). Rows go
/// in blocks that fit the cache, and blocks in halves of halves: the pairs within two halves are independent, and of those between them the pairs of
/// opposite quarters. So each core works on the same rows for long, and the order of the rotations that depend on each other is the same for any number
/// of threads. Of two rows the longer one comes to stand first (de Rijk 1989, "A one-sided Jacobi algorithm for computing the singular value
/// decomposition on a vector computer").</summary>
internal sealed class JacobiRotations
{
    private const double Orthogonal = 1e-15;
    private const int MostSweeps = 60, PairElements = 1 << 14, LeastBlock = 4, MostBlock = 32, LeastBlocks = 32;
    private readonly double[][] _rows;
    private readonly double[][] _turned;
    private readonly double _floor;
    private readonly int _block;

    private JacobiRotations(double[][] rows, int length)
    {
        _rows = rows;
        _turned = new double[rows.Length][];
        for (var i = 0; i < rows.Length; i++)
            (_turned[i] = new double[rows.Length])[i] = 1;
        _block = Math.Clamp(Math.Min(PairElements / Math.Max(1, rows.Length), rows.Length / LeastBlocks), LeastBlock, MostBlock);
        _floor = rows.Select(row => PlaneRotation.Products(row, row).XX).DefaultIfEmpty(0).Max() * Math.Pow(length * Math.Pow(2, -52), 2);
    }

    /// <summary>As many halves are worked on at once as there are processors.</summary>
    private static int Lanes => (int)BitOperations.RoundUpToPowerOf2((uint)Environment.ProcessorCount);

    private int Blocks => (_rows.Length + _block - 1) / _block;

    /// <summary>Rotates a square matrix M: M = T^T R with orthogonal rows R and an orthogonal T, both by rows.</summary>
    /// <param name="rows">M; becomes R.</param>
    /// <param name="length">The longer side of the matrix that M stands for: decides which rows count as zero.</param>
    /// <param name="loop">Where the work is done.</param>
    /// <param name="step">Told of each sweep.</param>
    public static (double[][] Rows, double[][] Turned) Of(double[][] rows, int length, ParallelLoop loop, Action<string>? step)
    {
        var work = new JacobiRotations(rows, length);
        for (var sweep = 1; sweep <= MostSweeps; sweep++)
        {
            step?.Invoke($"sweep {sweep}");
            if (!work.Sweep(loop))
                break;
        }

        return (rows, work._turned);
    }

    /// <summary>Turns every pair of rows once; false when all were orthogonal already.</summary>
    private bool Sweep(ParallelLoop loop)
    {
        var rotations = 0;
        Sweep(0, (int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(1, Blocks)), Lanes, loop, count => Interlocked.Add(ref rotations, count));
        return rotations > 0;
    }

    /// <summary>All pairs within a range of blocks: those of its halves, at the same time, then those between them.</summary>
    private void Sweep(int first, int size, int lanes, ParallelLoop loop, Action<int> rotated)
    {
        if (first >= Blocks)
            return;
        if (size == 1)
        {
            rotated(Within(first));
            return;
        }

        var half = size / 2;
        Both(lanes, loop, which => Sweep(first + which * half, half, lanes / 2, loop, rotated));
        Cross(first, first + half, half, lanes, loop, rotated);
    }

    /// <summary>All pairs between two ranges of blocks: those between quarters that have nothing in common at the same time.</summary>
    private void Cross(int first, int second, int size, int lanes, ParallelLoop loop, Action<int> rotated)
    {
        if (second >= Blocks || first >= Blocks)
            return;
        if (size == 1)
        {
            rotated(Between(first, second));
            return;
        }

        var half = size / 2;
        Both(lanes, loop, which => Cross(first + which * half, second + which * half, half, lanes / 2, loop, rotated));
        Both(lanes, loop, which => Cross(first + which * half, second + (1 - which) * half, half, lanes / 2, loop, rotated));
    }

    private static void Both(int lanes, ParallelLoop loop, Action<int> body)
    {
        if (lanes > 1)
        {
            loop(2, body);
            return;
        }

        body(0);
        body(1);
    }

    private int Within(int block)
    {
        var (count, end) = (0, Math.Min(_rows.Length, (block + 1) * _block));
        for (var p = block * _block; p < end; p++)
            for (var q = p + 1; q < end; q++)
                count += Rotate(p, q) ? 1 : 0;
        return count;
    }

    private int Between(int first, int second)
    {
        var (count, end) = (0, Math.Min(_rows.Length, (second + 1) * _block));
        for (var p = first * _block; p < (first + 1) * _block; p++)
            for (var q = second * _block; q < end; q++)
                count += Rotate(p, q) ? 1 : 0;
        return count;
    }

    private bool Rotate(int p, int q)
    {
        var (xx, yy, xy) = PlaneRotation.Products(_rows[p], _rows[q]);
        if (yy > xx)
        {
            (_rows[p], _rows[q], _turned[p], _turned[q]) = (_rows[q], _rows[p], _turned[q], _turned[p]);
            (xx, yy) = (yy, xx);
        }

        if (xx <= _floor || xy == 0 || Math.Abs(xy) <= Orthogonal * Math.Sqrt(_rows.Length) * Math.Sqrt(xx) * Math.Sqrt(yy))
            return false;
        var zeta = (yy - xx) / (2 * xy);
        var tangent = (zeta < 0 ? -1 : 1) / (Math.Abs(zeta) + Math.Sqrt(1 + zeta * zeta));
        var cosine = 1 / Math.Sqrt(1 + tangent * tangent);
        PlaneRotation.Turn(_rows[p], _rows[q], cosine, cosine * tangent);
        PlaneRotation.Turn(_turned[p], _turned[q], cosine, cosine * tangent);
        return true;
    }
}
