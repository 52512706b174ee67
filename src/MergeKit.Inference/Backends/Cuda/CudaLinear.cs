using MergeKit.Inference.Backends.Cuda.Kernels;

namespace MergeKit.Inference.Backends.Cuda;

/// <summary>Products of activations with weights, and the conversions that they need.</summary>
internal sealed class CudaLinear(CudaContext cuda, CudaType type) : IDisposable
{
    private readonly DenseProduct _product = new(cuda);
    private readonly CudaBuffer _converted = new(cuda);

    /// <summary>Type of weights and of what they are multiplied with.</summary>
    public CudaType Type => type;

    /// <summary>A buffer as matrices read it; valid until the next call.</summary>
    public nint Operand(CudaBuffer x)
    {
        if (x.Type == type)
            return x.Pointer;
        var target = _converted.Resize(x.Rows, x.Columns, type);
        Elementwise.Convert(cuda, x.Pointer, x.Type, target, type, (long)x.Rows * x.Columns);
        return target;
    }

    /// <summary>output = x W^T + b in float32, or output += that.</summary>
    public void Project(CudaMatrix matrix, CudaBuffer x, CudaBuffer output, bool accumulate)
    {
        var rows = x.Rows;
        var input = Operand(x);
        var target = accumulate ? output.Pointer : output.Resize(rows, matrix.Rows, CudaType.Float32);
        Multiply(matrix.Weights, input, target, rows, matrix.Rows, matrix.Columns, CudaType.Float32, accumulate);
        if (matrix.Bias != 0)
            Elementwise.AddBias(cuda, target, matrix.Bias, rows, matrix.Rows);
    }

    /// <summary>output = x W^T in the type of the weights, without the bias.</summary>
    public nint Multiply(CudaMatrix matrix, CudaBuffer x, CudaBuffer output)
    {
        var target = output.Resize(x.Rows, matrix.Rows, type);
        Multiply(matrix.Weights, Operand(x), target, x.Rows, matrix.Rows, matrix.Columns, type, accumulate: false);
        return target;
    }

    /// <summary>y [rows, outputs] = x W^T, or y += that.</summary>
    public void Multiply(nint weights, nint x, nint y, int rows, int outputs, int inputs, CudaType result, bool accumulate) =>
        _product.Multiply(weights, x, y, rows, outputs, inputs, type, result, accumulate);

    public void Dispose()
    {
        _product.Dispose();
        _converted.Dispose();
    }
}
