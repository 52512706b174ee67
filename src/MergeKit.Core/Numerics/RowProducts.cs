using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace MergeKit.Core.Numerics;

/// <summary>Inner products of the rows of two float32 matrices, C = A B^T, in tiles whose sums stay in registers.</summary>
public static class RowProducts
{
    private const int TileRows = 4, TileColumns = 3, Block = 48;

    /// <summary>c[i, j] = a_i . b_j for all rows.</summary>
    /// <param name="a">Rows of <paramref name="length"/> elements.</param>
    /// <param name="b">Rows of <paramref name="length"/> elements.</param>
    /// <param name="length">Elements of a row.</param>
    /// <param name="c"><c>[rows of a, rows of b]</c>, overwritten.</param>
    /// <exception cref="ArgumentException">The sizes do not fit.</exception>
    public static void Multiply(ReadOnlySpan<float> a, ReadOnlySpan<float> b, int length, Span<float> c)
    {
        var (rows, columns) = (length == 0 ? 0 : a.Length / length, length == 0 ? 0 : b.Length / length);
        if (length < 1 || a.Length != (long)rows * length || b.Length != (long)columns * length || c.Length < (long)rows * columns)
            throw new ArgumentException($"{a.Length} and {b.Length} elements in rows of {length} do not give {c.Length} products");
        for (var block = 0; block < columns; block += Block)
        {
            var end = Math.Min(columns, block + Block);
            for (var i = 0; i < rows; i += TileRows)
                for (var j = block; j < end; j += TileColumns)
                    Tile(a, b, length, c, columns, i, Math.Min(TileRows, rows - i), j, Math.Min(TileColumns, end - j));
        }
    }

    private static void Tile(ReadOnlySpan<float> a, ReadOnlySpan<float> b, int length, Span<float> c, int columns, int i, int height, int j, int width)
    {
        if (height == TileRows && width == TileColumns)
        {
            Full(ref Unsafe.AsRef(in a[i * length]), ref Unsafe.AsRef(in b[j * length]), length, ref c[i * columns + j], columns);
            return;
        }

        for (var row = i; row < i + height; row++)
            for (var column = j; column < j + width; column++)
                c[row * columns + column] = System.Numerics.Tensors.TensorPrimitives.Dot(a.Slice(row * length, length), b.Slice(column * length, length));
    }

    private static void Full(ref float a, ref float b, int length, ref float c, int columns)
    {
        Vector<float> c00 = default, c01 = default, c02 = default, c10 = default, c11 = default, c12 = default;
        Vector<float> c20 = default, c21 = default, c22 = default, c30 = default, c31 = default, c32 = default;
        var k = 0;
        for (; k <= length - Vector<float>.Count; k += Vector<float>.Count)
        {
            var (b0, b1, b2) = (Load(ref b, k), Load(ref b, length + k), Load(ref b, 2 * length + k));
            var x = Load(ref a, k);
            (c00, c01, c02) = (Add(x, b0, c00), Add(x, b1, c01), Add(x, b2, c02));
            x = Load(ref a, length + k);
            (c10, c11, c12) = (Add(x, b0, c10), Add(x, b1, c11), Add(x, b2, c12));
            x = Load(ref a, 2 * length + k);
            (c20, c21, c22) = (Add(x, b0, c20), Add(x, b1, c21), Add(x, b2, c22));
            x = Load(ref a, 3 * length + k);
            (c30, c31, c32) = (Add(x, b0, c30), Add(x, b1, c31), Add(x, b2, c32));
        }

        ReadOnlySpan<Vector<float>> sums = [c00, c01, c02, c10, c11, c12, c20, c21, c22, c30, c31, c32];
        for (var row = 0; row < TileRows; row++)
            for (var column = 0; column < TileColumns; column++)
            {
                var sum = Vector.Sum(sums[row * TileColumns + column]);
                for (var rest = k; rest < length; rest++)
                    sum += Unsafe.Add(ref a, row * length + rest) * Unsafe.Add(ref b, column * length + rest);
                Unsafe.Add(ref c, row * columns + column) = sum;
            }
    }

    private static Vector<float> Load(ref float start, int offset) => Vector.LoadUnsafe(ref start, (nuint)offset);

    private static Vector<float> Add(Vector<float> x, Vector<float> y, Vector<float> sum) => Vector.FusedMultiplyAdd(x, y, sum);
}
