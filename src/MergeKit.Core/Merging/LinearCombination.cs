using System.Numerics.Tensors;

namespace MergeKit.Core.Merging;

/// <summary>The elementwise step of methods whose result is a linear combination with factors per tensor, row or column.</summary>
public static class LinearCombination
{
    /// <summary>R = sum_i c_i W_i; with an origin O: R = O + sum_i c_i (W_i - O).</summary>
    /// <param name="models">The sources W_i.</param>
    /// <param name="factors">Their c_i.</param>
    /// <param name="origin">The source O, or -1.</param>
    public static ChunkCombiner Of(int[] models, double[] factors, int origin)
    {
        var narrow = Array.ConvertAll(factors, factor => (float)factor);
        return (chunk, result) => Write(chunk, 0, chunk.Length, models, narrow, origin, result);
    }

    /// <summary>The same with factors of its own for each row of <paramref name="columns"/> elements: <c>[rows, models]</c>.</summary>
    public static ChunkCombiner OfRows(int[] models, float[] factors, long columns, int origin) => (chunk, result) =>
    {
        for (var offset = 0; offset < chunk.Length;)
        {
            var row = (chunk.Start + offset) / columns;
            var length = (int)Math.Min((row + 1) * columns - chunk.Start - offset, chunk.Length - offset);
            Write(chunk, offset, length, models, factors.AsSpan((int)(row * models.Length), models.Length), origin, result.Slice(offset, length));
            offset += length;
        }
    };

    /// <summary>The same with factors of its own for each column: <c>[models, columns]</c>.</summary>
    public static ChunkCombiner OfColumns(int[] models, float[] factors, int columns, int origin) => (chunk, result) =>
    {
        for (var offset = 0; offset < chunk.Length;)
        {
            var column = (int)((chunk.Start + offset) % columns);
            var length = Math.Min(columns - column, chunk.Length - offset);
            var part = result.Slice(offset, length);
            Start(chunk, offset, origin, part);
            for (var i = 0; i < models.Length; i++)
                TensorPrimitives.MultiplyAdd(Vector(chunk, offset, length, models[i], origin), factors.AsSpan(i * columns + column, length), part, part);
            offset += length;
        }
    };

    private static void Write(Chunk chunk, int offset, int length, int[] models, ReadOnlySpan<float> factors, int origin, Span<float> result)
    {
        Start(chunk, offset, origin, result);
        for (var i = 0; i < models.Length; i++)
            TensorPrimitives.MultiplyAdd(Vector(chunk, offset, length, models[i], origin), factors[i], result, result);
    }

    private static void Start(Chunk chunk, int offset, int origin, Span<float> result)
    {
        if (origin >= 0)
            chunk.Source(origin).Slice(offset, result.Length).CopyTo(result);
        else
            result.Clear();
    }

    /// <summary>A source's elements, or their differences from the origin.</summary>
    private static Span<float> Vector(Chunk chunk, int offset, int length, int model, int origin)
    {
        var row = chunk.Source(model).Slice(offset, length);
        if (origin >= 0)
            TensorPrimitives.Subtract(row, chunk.Source(origin).Slice(offset, length), row);
        return row;
    }
}
