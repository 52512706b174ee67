using MergeKit.Inference.Backends.Cuda.Kernels;

namespace MergeKit.Inference.Backends.Cuda;

/// <summary>Products of activations with weights, and the conversions that they need. Few rows go to a kernel that reads the weights at the
/// memory's speed, more to cuBLASLt.</summary>
internal sealed class CudaLinear(CudaContext cuda, CudaType type) : IDisposable
{
    private readonly DenseProduct _product = new(cuda);
    private readonly CudaBuffer _converted = new(cuda), _scratch = new(cuda);

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
        Multiply(matrix.Weights, input, target, rows, matrix.Rows, matrix.Columns, CudaType.Float32, accumulate, matrix.Bias);
    }

    /// <summary>output = x W^T in the type of the weights, without the bias.</summary>
    public nint Multiply(CudaMatrix matrix, CudaBuffer x, CudaBuffer output)
    {
        var target = output.Resize(x.Rows, matrix.Rows, type);
        Multiply(matrix.Weights, Operand(x), target, x.Rows, matrix.Rows, matrix.Columns, type, accumulate: false);
        return target;
    }

    /// <summary>y [rows, outputs] = x W^T (+ bias), or y += that. A bias takes a y in float32.</summary>
    public void Multiply(nint weights, nint x, nint y, int rows, int outputs, int inputs, CudaType result, bool accumulate, nint bias = 0)
    {
        var form = new SkinnyForm(rows, outputs, inputs, result);
        if (IsSkinny(form, x, weights))
        {
            SkinnyProduct.Launch(cuda, form, new SkinnyOperands(x, weights, y, bias, accumulate ? y : 0, Scratch(form)));
            return;
        }

        _product.Multiply(weights, x, y, rows, outputs, inputs, type, result, accumulate);
        if (bias != 0)
            Elementwise.AddBias(cuda, y, bias, rows, outputs);
    }

    /// <summary>inner = act(gate) x up of x W^T + b, in one kernel for few rows.</summary>
    public bool TryGated(MlpWeights weights, CudaBuffer x, CudaBuffer inner)
    {
        var matrix = (CudaMatrix)weights.Input;
        var form = new SkinnyForm(x.Rows, matrix.Rows, matrix.Columns, type, weights.Gate, weights.Activation, weights.ClampedLimit);
        if (weights.Gate == GateKind.None || x.Type != type || !IsSkinny(form, x.Pointer, matrix.Weights))
            return false;
        SkinnyProduct.Launch(
            cuda, form, new SkinnyOperands(x.Pointer, matrix.Weights, inner.Resize(x.Rows, weights.Intermediate, type), matrix.Bias, Scratch: Scratch(form)));
        return true;
    }

    public void Dispose()
    {
        _product.Dispose();
        _converted.Dispose();
        _scratch.Dispose();
    }

    /// <summary>Room for the parts of a product, counters of zeros first; 0 where there are no parts.</summary>
    private nint Scratch(in SkinnyForm form)
    {
        var bytes = SkinnyProduct.ScratchBytes(form, cuda.Device);
        if (bytes == 0)
            return 0;
        var old = _scratch.Pointer;
        if (_scratch.Resize(1, Math.Max(bytes, _scratch.Columns * (long)sizeof(float)) / sizeof(float), CudaType.Float32) != old)
            cuda.Stream.Fill(_scratch.Pointer, 0, SkinnyProduct.CounterBytes);
        return _scratch.Pointer;
    }

    private bool IsSkinny(in SkinnyForm form, nint x, nint weights) =>
        type == CudaType.BFloat16 && ((x | weights) & 15) == 0 && SkinnyProduct.Supports(cuda.Device, form);
}
