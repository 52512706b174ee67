using System.Numerics.Tensors;
using MergeKit.Core.Numerics;
using MergeKit.Inference.Backends.Cpu;
using MergeKit.Inference.Backends.Cpu.Kernels;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Backends.Gradients;

/// <summary>A matrix that carries gradients back: for y = x W^T + b, dx += dy W, dW += dy^T x, db += sum of dy over tokens.</summary>
internal sealed unsafe class TapeMatrix(MatrixSource source) : IMatrix
{
    private readonly CpuMatrix _matrix = new(source.Blocks, source.StoredTransposed, source.Bias);

    public int Rows => _matrix.Rows;

    public int Columns => _matrix.Columns;

    /// <summary>y = x W^T + b.</summary>
    public void Multiply(ReadOnlySpan<float> x, int tokens, Span<float> y, WorkerPool pool) => _matrix.Multiply(x, tokens, y, pool, accumulate: false);

    /// <summary>Carries y's gradient to x's and to the weights'.</summary>
    public void Back(TapeValue x, TapeValue y, Tape tape)
    {
        var first = 0;
        for (var block = 0; block < source.Blocks.Count; block++)
        {
            var stored = source.Blocks[block];
            var rows = checked((int)stored.Shape[source.StoredTransposed ? 1 : 0]);
            var part = Part(y.Gradient, y.Columns, first, rows, tape.Arrays);
            BackToInput(stored, part, x, tape.Pool);
            BackToWeights(source.Origins[block], part, rows, x, tape);
            if (part != y.Gradient)
                tape.Arrays.Give(part);
            first += rows;
        }
    }

    private void BackToInput(WeightTensor stored, float[] part, TapeValue x, WorkerPool pool)
    {
        var (rows, columns) = ((int)stored.Shape[0], (int)stored.Shape[1]);
        var weights = new WeightMatrix(stored.Data, stored.Type, rows, columns, columns);
        if (source.StoredTransposed)
            MatrixProduct.Multiply(part, x.Rows, weights, x.Gradient, x.Columns, pool, beta: 1);
        else
            TransposedProduct.Multiply(part, x.Rows, weights, x.Gradient, x.Columns, pool, beta: 1);
    }

    private void BackToWeights(MatrixOrigin origin, float[] part, int rows, TapeValue x, Tape tape)
    {
        if (origin.Bias is not null && tape.Parameters.Of(origin.Bias, origin.BiasOffset, rows) is { IsEmpty: false } bias)
            for (var token = 0; token < x.Rows; token++)
                TensorPrimitives.Add(bias, part.AsSpan(token * rows, rows), bias);
        var gradient = tape.Parameters.Of(origin.Weight, origin.Offset, checked(rows * Columns));
        if (gradient.IsEmpty)
            return;
        var (left, right, outputs, inputs) = source.StoredTransposed ? (x.Data, part, Columns, rows) : (part, x.Data, rows, Columns);
        var transposed = tape.Arrays.Take(x.Rows * outputs);
        Transpose(left, x.Rows, outputs, transposed);
        fixed (float* data = right)
            TransposedProduct.Multiply(transposed, outputs, new WeightMatrix((nint)data, DType.F32, x.Rows, inputs, inputs), gradient, inputs, tape.Pool, beta: 1);
        tape.Arrays.Give(transposed);
    }

    /// <summary>Some columns of a matrix as a matrix of their own.</summary>
    private static float[] Part(float[] matrix, int width, int first, int count, KeptArrays arrays)
    {
        if (count == width)
            return matrix;
        var part = arrays.Take(matrix.Length / width * count);
        for (var row = 0; row < part.Length / count; row++)
            matrix.AsSpan(row * width + first, count).CopyTo(part.AsSpan(row * count));
        return part;
    }

    private static void Transpose(float[] matrix, int rows, int columns, float[] result)
    {
        const int tile = 32;
        for (var top = 0; top < rows; top += tile)
            for (var left = 0; left < columns; left += tile)
                for (var row = top; row < Math.Min(rows, top + tile); row++)
                    for (var column = left; column < Math.Min(columns, left + tile); column++)
                        result[column * rows + row] = matrix[row * columns + column];
    }
}
