using System.Numerics.Tensors;

namespace MergeKit.Core.Numerics;

/// <summary>Inner products of every vector of a set with every other: all made beforehand where they fit into memory, else made row by row when they are asked for.</summary>
public sealed class GramRows
{
    private const int Block = 192;
    private readonly float[] _vectors;
    private readonly int _length;
    private readonly float[]?[] _rows;
    private readonly long _most;
    private long _held;

    /// <summary>For vectors of <paramref name="length"/> elements.</summary>
    /// <param name="vectors">The vectors, one behind the other.</param>
    /// <param name="length">Elements of a vector.</param>
    /// <param name="bytes">The most memory that products may take.</param>
    public GramRows(float[] vectors, int length, long bytes)
    {
        (_vectors, _length, Count) = (vectors, length, vectors.Length / Math.Max(1, length));
        _rows = new float[Count][];
        _most = bytes / Math.Max(1, Count * sizeof(float));
    }

    /// <summary>Number of vectors.</summary>
    public int Count { get; }

    /// <summary>Whether all products fit into the memory allowed.</summary>
    public bool FitsWhole => Count <= _most;

    /// <summary>Makes all products on several threads, if they fit.</summary>
    /// <param name="options">Threads and cancellation.</param>
    /// <param name="done">Is told how many rows have been finished.</param>
    public void Fill(ParallelOptions options, Action<int> done)
    {
        if (!FitsWhole)
            return;
        for (var row = 0; row < Count; row++)
            _rows[row] = new float[Count];
        _held = Count;
        var blocks = (Count + Block - 1) / Block;
        Parallel.For(0, blocks, options, first =>
        {
            var products = new float[Block * Block];
            for (var second = first; second < blocks; second++)
            {
                options.CancellationToken.ThrowIfCancellationRequested();
                var (i, j) = (first * Block, second * Block);
                var (rows, columns) = (Math.Min(Block, Count - i), Math.Min(Block, Count - j));
                RowProducts.Multiply(Vectors(i, rows), Vectors(j, columns), _length, products);
                for (var row = 0; row < rows; row++)
                    for (var column = 0; column < columns; column++)
                        _rows[i + row]![j + column] = _rows[j + column]![i + row] = products[row * columns + column];
            }

            done(Math.Min(Block, Count - first * Block));
        });
    }

    /// <summary>The products of one vector with all.</summary>
    public float[] Row(int index)
    {
        if (_rows[index] is { } known)
            return known;
        var row = new float[Count];
        for (var other = 0; other < Count; other++)
            row[other] = TensorPrimitives.Dot(Vector(index), Vector(other));
        if (Interlocked.Increment(ref _held) <= _most)
            _rows[index] = row;
        return row;
    }

    /// <summary>One of the vectors.</summary>
    public ReadOnlySpan<float> Vector(int index) => Vectors(index, 1);

    /// <summary>Several neighbouring vectors.</summary>
    public ReadOnlySpan<float> Vectors(int first, int count) => _vectors.AsSpan(checked(first * _length), count * _length);

    /// <summary>All vectors.</summary>
    public ReadOnlySpan<float> All => _vectors;

    /// <summary>Elements of a vector.</summary>
    public int Length => _length;
}
