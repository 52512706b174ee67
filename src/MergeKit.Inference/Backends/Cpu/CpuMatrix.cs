using System.Numerics.Tensors;
using MergeKit.Inference.Backends.Cpu.Kernels;
using MergeKit.Inference.Runtime;

namespace MergeKit.Inference.Backends.Cpu;

/// <summary>Row blocks of weights where they lie in memory.</summary>
internal sealed class CpuMatrix : IMatrix
{
    private readonly (WeightMatrix Weights, int FirstRow)[] _blocks;
    private readonly bool _transposed;

    public CpuMatrix(IReadOnlyList<WeightTensor> blocks, bool storedTransposed, float[]? bias)
    {
        (_blocks, _transposed, Bias) = (new (WeightMatrix, int)[blocks.Count], storedTransposed, bias);
        for (var i = 0; i < blocks.Count; i++)
        {
            var (rows, columns) = (checked((int)blocks[i].Shape[0]), checked((int)blocks[i].Shape[1]));
            _blocks[i] = (new WeightMatrix(blocks[i].Data, blocks[i].Type, rows, columns, columns), Rows);
            Rows = checked(Rows + (storedTransposed ? columns : rows));
            Columns = storedTransposed ? rows : columns;
        }
    }

    public int Rows { get; }

    public int Columns { get; }

    public float[]? Bias { get; }

    /// <summary>y = x W^T + b, or y += that.</summary>
    public void Multiply(ReadOnlySpan<float> x, int tokens, Span<float> y, WorkerPool pool, bool accumulate)
    {
        if (_transposed)
            foreach (var (weights, first) in _blocks)
                TransposedProduct.Multiply(x, tokens, weights, y[first..], Rows, pool, accumulate ? 1 : 0);
        else
            MatrixProduct.MultiplyBlocks(x, tokens, _blocks, y, Rows, pool, accumulate ? 1 : 0);
        AddBias(tokens, y, 0, Rows);
    }

    /// <summary>The same for the outputs from <paramref name="start"/> on, added to y where <paramref name="beta"/> is 1; y is [tokens, count]. Only for a matrix of one block that is not transposed.</summary>
    public void MultiplyRows(ReadOnlySpan<float> x, int tokens, int start, int count, Span<float> y, WorkerPool pool, int beta = 0)
    {
        if (_transposed || _blocks.Length != 1)
            throw new InvalidOperationException("rows can be taken of a matrix of one block stored [out, in] only");
        MatrixProduct.Multiply(x, tokens, _blocks[0].Weights.Slice(start, count), y, count, pool, beta);
        AddBias(tokens, y, start, count);
    }

    private void AddBias(int tokens, Span<float> y, int start, int count)
    {
        if (Bias is null)
            return;
        for (var token = 0; token < tokens; token++)
        {
            var row = y.Slice(token * count, count);
            TensorPrimitives.Add(row, Bias.AsSpan(start, count), row);
        }
    }
}
