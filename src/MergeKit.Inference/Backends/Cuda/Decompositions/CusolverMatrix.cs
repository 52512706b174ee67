using MergeKit.Core.Numerics;

namespace MergeKit.Inference.Backends.Cuda.Decompositions;

/// <summary>A matrix on a device and its decomposition. Rows are sent as they are, which cuSOLVER sees as the columns of the transposed matrix
/// A = M^T, m = columns x n = rows: its left vectors are M's right ones.</summary>
internal sealed class CusolverMatrix : IDisposable
{
    private readonly CudaContext _cuda;
    private readonly DeviceBuffer _matrix, _values, _long, _square;

    public CusolverMatrix(CudaContext cuda, int rows, int columns)
    {
        (_cuda, Rows, Columns) = (cuda, rows, columns);
        var buffers = new List<DeviceBuffer>();
        try
        {
            foreach (var count in new[] { (long)rows * columns, (long)rows * columns, (long)rows * rows, rows })
                buffers.Add(cuda.Memory.Allocate(checked(count * sizeof(double)), $"the decomposition of a matrix of {rows} x {columns}"));
        }
        catch
        {
            buffers.ForEach(buffer => buffer.Dispose());
            throw;
        }

        (_matrix, _long, _square, _values) = (buffers[0], buffers[1], buffers[2], buffers[3]);
    }

    /// <summary>n.</summary>
    public int Rows { get; }

    /// <summary>m.</summary>
    public int Columns { get; }

    /// <summary>A, m x n by columns; overwritten by a decomposition.</summary>
    public nint Matrix => _matrix.Pointer;

    /// <summary>S.</summary>
    public nint ValuesPointer => _values.Pointer;

    /// <summary>U, m x n by columns.</summary>
    public nint Long => _long.Pointer;

    /// <summary>V or V^T, n x n by columns.</summary>
    public nint Square => _square.Pointer;

    public void Send(double[][] rows)
    {
        for (var i = 0; i < rows.Length; i++)
            _cuda.Stream.Upload<double>(Matrix + (nint)((long)i * Columns * sizeof(double)), rows[i]);
    }

    public double[] Values()
    {
        var values = new double[Rows];
        _cuda.Stream.Download<double>(ValuesPointer, values);
        return values;
    }

    /// <summary>The decomposition on the host.</summary>
    /// <param name="values">S.</param>
    /// <param name="vectorsByRows">Whether the square holds V^T, else V.</param>
    public ThinSvd Take(double[] values, bool vectorsByRows)
    {
        var (right, square) = (Vectors(Long, Columns), Vectors(Square, Rows));
        if (!vectorsByRows)
            return ThinSvd.FromTriplets(values, square, right);
        var left = new double[Rows][];
        for (var k = 0; k < Rows; k++)
        {
            left[k] = new double[Rows];
            for (var i = 0; i < Rows; i++)
                left[k][i] = square[i][k];
        }

        return ThinSvd.FromTriplets(values, left, right);
    }

    public void Dispose()
    {
        foreach (var buffer in new[] { _matrix, _long, _square, _values })
            buffer.Dispose();
    }

    private double[][] Vectors(nint from, int length)
    {
        var vectors = new double[Rows][];
        for (var k = 0; k < vectors.Length; k++)
            _cuda.Stream.Download<double>(from + (nint)((long)k * length * sizeof(double)), vectors[k] = new double[length]);
        return vectors;
    }
}
