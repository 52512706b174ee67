using MergeKit.Core.Architectures;
using MergeKit.Core.Numerics;
using MergeKit.Inference.Backends;
using MergeKit.Inference.Backends.Cuda;
using MergeKit.Inference.Backends.Cuda.Kernels;

namespace MergeKit.Gpu.Tests.Backends.Cuda.Kernels;

/// <summary>The passes between products, and the products themselves, against plain loops.</summary>
public class GlueTests
{
    [Theory]
    [InlineData(1, 64)]
    [InlineData(7, 99)]
    [InlineData(33, 2048)]
    [InlineData(5, 7168)]
    public void Norm_adds_and_normalises(int rows, int width)
    {
        using var gpu = Gpu.Open();
        foreach (var kind in Enum.GetValues<NormKind>())
            foreach (var type in Enum.GetValues<CudaType>())
                foreach (var withDelta in new[] { false, true })
                    CheckNorm(gpu, rows, width, kind, type, withDelta);
    }

    [Theory]
    [InlineData(1, 8, 8)]
    [InlineData(3, 77, 64)]
    [InlineData(65, 520, 200)]
    [InlineData(300, 1000, 333)]
    public void Products_equal_plain_loops_and_accumulate(int rows, int outputs, int inputs)
    {
        using var gpu = Gpu.Open();
        using var product = new DenseProduct(gpu.Cuda);
        foreach (var type in Enum.GetValues<CudaType>())
        {
            var (x, w, y) = (Gpu.Random(rows * inputs, 1), Gpu.Random(outputs * inputs, 2), Gpu.Random(rows * outputs, 3));
            using var input = gpu.Send(x, type);
            using var weights = gpu.Send(w, type);
            using var output = gpu.Send(y, CudaType.Float32);
            product.Multiply(weights.Pointer, input.Pointer, output.Pointer, rows, outputs, inputs, type, CudaType.Float32, accumulate: true);
            for (var r = 0; r < rows; r++)
                for (var c = 0; c < outputs; c++)
                {
                    double sum = y[r * outputs + c];
                    for (var i = 0; i < inputs; i++)
                        sum += (double)x[r * inputs + i] * w[c * inputs + i];
                    y[r * outputs + c] = (float)sum;
                }

            Assert.InRange(Gpu.Error(y, gpu.Read(output, CudaType.Float32)), 0, 1e-5);
        }
    }

    [Theory]
    [InlineData(Activation.Silu, GateKind.Halves, 64)]
    [InlineData(Activation.GeluTanh, GateKind.Halves, 37)]
    [InlineData(Activation.Gelu, GateKind.Interleaved, 40)]
    public void Gates_equal_plain_loops(Activation activation, GateKind gate, int width)
    {
        using var gpu = Gpu.Open();
        const int Rows = 19;
        var x = Gpu.Random(Rows * 2 * width, 5);
        using var input = gpu.Send(x, CudaType.Float32);
        using var output = gpu.Poisoned(Rows * width, CudaType.Float32);
        Elementwise.Gate(gpu.Cuda, activation, gate, null, input.Pointer, 0, output.Pointer, Rows, width, CudaType.Float32);
        var expected = new float[Rows * width];
        for (var i = 0; i < expected.Length; i++)
        {
            var (row, c) = (i / width * 2 * width, i % width);
            var (g, u) = gate == GateKind.Interleaved ? (x[row + 2 * c], x[row + 2 * c + 1]) : (x[row + c], x[row + width + c]);
            expected[i] = (float)(Activate(activation, g) * u);
        }

        Assert.InRange(Gpu.Error(expected, gpu.Read(output, CudaType.Float32)), 0, 1e-6);
    }

    [Theory]
    [InlineData(DType.F32)]
    [InlineData(DType.F16)]
    [InlineData(DType.BF16)]
    [InlineData(DType.F64)]
    [InlineData(DType.F8E4M3)]
    [InlineData(DType.F8E5M2)]
    public void Weights_are_decoded_as_the_codec_decodes_them(DType source)
    {
        using var gpu = Gpu.Open();
        const int Rows = 48, Columns = 70;
        var bytes = new byte[Rows * Columns * source.Size()];
        for (var i = 0; i < bytes.Length; i++)
            bytes[i] = (byte)(i * 37 + i / 256 * 11);
        if (source is DType.F32 or DType.F64 or DType.BF16 or DType.F16)
            for (var i = source.Size() - 1; i < bytes.Length; i += source.Size())
                bytes[i] = (byte)(0x3A + i % 3);
        var expected = new float[Rows * Columns];
        TensorCodec.Decode(source, bytes, expected);
        using var stored = gpu.Send(bytes);
        using var output = gpu.Poisoned(Rows * Columns, CudaType.Float32);
        LoadWeights.Launch(gpu.Cuda, gpu.Cuda.Stream, source, stored.Pointer, output.Pointer, CudaType.Float32, Rows, Columns, Columns, transposed: false);
        Assert.Equal(expected, gpu.Read(output, CudaType.Float32));
        LoadWeights.Launch(gpu.Cuda, gpu.Cuda.Stream, source, stored.Pointer, output.Pointer, CudaType.Float32, Columns, Rows, Rows, transposed: true);
        var turned = Enumerable.Range(0, Rows * Columns).Select(i => expected[i % Rows * Columns + i / Rows]).ToArray();
        Assert.Equal(turned, gpu.Read(output, CudaType.Float32));
    }

    private static void CheckNorm(Gpu gpu, int rows, int width, NormKind kind, CudaType type, bool withDelta)
    {
        var (x, delta, weight, bias) = (Gpu.Random(rows * width, 1), Gpu.Random(rows * width, 2), Gpu.Random(width, 3), Gpu.Random(width, 4));
        using var residual = gpu.Send(x, CudaType.Float32);
        using var added = gpu.Send(delta, CudaType.Float32);
        using var scale = gpu.Send(weight, CudaType.Float32);
        using var offset = gpu.Send(bias, CudaType.Float32);
        using var output = gpu.Poisoned((long)rows * width, type);
        var spec = new NormSpec("n", kind, width, 1e-5);
        Norm.Launch(gpu.Cuda, spec, scale.Pointer, kind == NormKind.Layer ? offset.Pointer : 0, rows, width, residual.Pointer, withDelta ? added.Pointer : 0, output.Pointer, type);
        var expected = new float[rows * width];
        for (var row = 0; row < rows; row++)
        {
            var sums = Enumerable.Range(row * width, width).Select(i => (double)(withDelta ? x[i] + delta[i] : x[i])).ToArray();
            var mean = kind == NormKind.Layer ? sums.Average() : 0;
            var deviation = Math.Sqrt(sums.Average(value => (value - mean) * (value - mean)) + 1e-5);
            for (var c = 0; c < width; c++)
                expected[row * width + c] = (float)((sums[c] - mean) / deviation * weight[c] + (kind == NormKind.Layer ? bias[c] : 0));
        }

        Assert.InRange(Gpu.Error(expected, gpu.Read(output, type)), 0, type == CudaType.Float32 ? 1e-6 : 3e-3);
    }

    private static double Activate(Activation activation, double x) => activation switch
    {
        Activation.Silu => x / (1 + Math.Exp(-x)),
        Activation.GeluTanh => 0.5 * x * (1 + Math.Tanh(Math.Sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x))),
        _ => x * Phi(x),
    };

    /// <summary>The normal distribution by Simpson's rule from 0 to x.</summary>
    private static double Phi(double x)
    {
        const int Steps = 400;
        double sum = 0, h = x / Steps;
        for (var i = 0; i <= Steps; i++)
            sum += (i == 0 || i == Steps ? 1 : i % 2 == 1 ? 4 : 2) * Math.Exp(-i * h * i * h / 2);
        return 0.5 + sum * h / 3 / Math.Sqrt(2 * Math.PI);
    }
}
