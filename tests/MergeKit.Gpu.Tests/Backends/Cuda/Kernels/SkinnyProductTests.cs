using MergeKit.Core.Architectures;
using MergeKit.Inference.Backends;
using MergeKit.Inference.Backends.Cuda;
using MergeKit.Inference.Backends.Cuda.Kernels;

namespace MergeKit.Gpu.Tests.Backends.Cuda.Kernels;

/// <summary>Products of a few rows against plain loops in double precision, and their layouts.</summary>
public class SkinnyProductTests
{
    private const double Tolerance = 4e-3, Float32Tolerance = 1e-5;

    public static TheoryData<int, int, int> Shapes => new()
    {
        { 1, 2048, 2048 }, { 1, 33, 8 }, { 1, 4097, 1032 }, { 3, 999, 4104 }, { 5, 77, 264 }, { 8, 515, 14336 }, { 2, 64, 16384 },
        { 16, 1000, 2048 }, { 13, 555, 4104 }, { 16, 4096, 14336 }, { 9, 31, 24 }, { 16, 16, 8192 }, { 8, 2100, 28672 }, { 1, 16, 65536 },
    };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Equals_plain_loops_with_bias_and_residual(int rows, int outputs, int inputs)
    {
        using var gpu = Gpu.Open();
        var (x, w) = (Gpu.Random(rows * inputs, 1), Gpu.Random(outputs * inputs, 2, 1 / MathF.Sqrt(inputs)));
        var (bias, residual) = (Gpu.Random(outputs, 3), Gpu.Random(rows * outputs, 4));
        using var input = gpu.Send(x, CudaType.BFloat16);
        using var weights = gpu.Send(w, CudaType.BFloat16);
        using var offset = gpu.Send(bias, CudaType.Float32);
        foreach (var type in Enum.GetValues<CudaType>())
        {
            var form = new SkinnyForm(rows, outputs, inputs, type);
            if (!SkinnyProduct.Supports(gpu.Cuda.Device, form))
                continue;
            using var added = gpu.Send(residual, type);
            var sums = Multiply(x, w, rows, outputs, inputs);
            Check(gpu, form, new SkinnyOperands(input.Pointer, weights.Pointer, 0), sums);
            for (var i = 0; i < sums.Length; i++)
                sums[i] += bias[i % outputs] + residual[i];
            Check(gpu, form, new SkinnyOperands(input.Pointer, weights.Pointer, 0, offset.Pointer, added.Pointer), sums);
        }
    }

    [Theory]
    [InlineData(1, 2 * 301, 2048, GateKind.Halves)]
    [InlineData(4, 2 * 77, 520, GateKind.Interleaved)]
    [InlineData(16, 2 * 512, 14336, GateKind.Halves)]
    [InlineData(13, 2 * 100, 8192, GateKind.Interleaved)]
    public void Gates_equal_plain_loops(int rows, int outputs, int inputs, GateKind gate)
    {
        using var gpu = Gpu.Open();
        var (x, w, bias) = (Gpu.Random(rows * inputs, 5), Gpu.Random(outputs * inputs, 6, 2 / MathF.Sqrt(inputs)), Gpu.Random(outputs, 7));
        using var input = gpu.Send(x, CudaType.BFloat16);
        using var weights = gpu.Send(w, CudaType.BFloat16);
        using var offset = gpu.Send(bias, CudaType.Float32);
        var sums = Multiply(x, w, rows, outputs, inputs);
        for (var i = 0; i < sums.Length; i++)
            sums[i] += bias[i % outputs];
        foreach (var limit in new float?[] { null, 1.5f })
        {
            var form = new SkinnyForm(rows, outputs, inputs, CudaType.BFloat16, gate, Activation.Silu, limit);
            if (SkinnyProduct.Supports(gpu.Cuda.Device, form))
                Check(gpu, form, new SkinnyOperands(input.Pointer, weights.Pointer, 0, offset.Pointer), Gate(sums, rows, outputs, gate, limit));
        }
    }

    [Theory]
    [InlineData(96, 200)]
    [InlineData(512, 2048)]
    public void Experts_equal_plain_loops_uneven_and_empty(int outputs, int inputs)
    {
        using var gpu = Gpu.Open();
        int[] counts = [0, 3, 0, 16, 1, 1, 0, 7, 0];
        var ends = counts.Select((_, i) => counts[..(i + 1)].Sum()).ToArray();
        var rows = ends[^1];
        var (x, w) = (Gpu.Random(rows * inputs, 8), Gpu.Random(counts.Length * outputs * inputs, 9, 2 / MathF.Sqrt(inputs)));
        using var input = gpu.Send(x, CudaType.BFloat16);
        using var weights = gpu.Send(w, CudaType.BFloat16);
        using var list = gpu.Send(ends);
        foreach (var gate in new[] { GateKind.None, GateKind.Interleaved, GateKind.Halves })
        {
            var form = new SkinnyForm(counts.Max(), outputs, inputs, CudaType.BFloat16, gate);
            if (!SkinnyProduct.SupportsExperts(gpu.Cuda.Device, form, counts.Length))
                continue;
            var expected = new List<float>();
            for (var e = 0; e < counts.Length; e++)
            {
                var start = ends[e] - counts[e];
                var sums = Multiply(x[(start * inputs)..(ends[e] * inputs)], w[(e * outputs * inputs)..((e + 1) * outputs * inputs)], counts[e], outputs, inputs);
                expected.AddRange(gate == GateKind.None ? sums : Gate(sums, counts[e], outputs, gate, null));
            }

            var operands = new SkinnyOperands(input.Pointer, weights.Pointer, 0);
            Check(gpu, form, rows, [.. expected], y => SkinnyProduct.LaunchExperts(gpu.Cuda, form, operands with { Y = y }, list.Pointer, counts.Length));
        }
    }

    [Fact]
    public void Layouts_cover_K_and_fit()
    {
        foreach (var rows in new[] { 1, 8, 9, 16 })
            foreach (var inputs in new[] { 8, 2048, 4096, 8192, 14336, 28672 })
                foreach (var outputs in new[] { 16, 1024, 4096, 28672, 128256 })
                {
                    const int Room = 228352;
                    var layout = SkinnyProduct.Choose(new SkinnyForm(rows, outputs, inputs, CudaType.Float32), Room, 132);
                    Assert.InRange(layout.SharedBytes, 1, Room);
                    Assert.True(layout.Slice * layout.Splits >= inputs && layout.Slice % 8 == 0 && layout.Stride % 128 == 64 && layout.Stride >= 2 * layout.Slice, $"{layout}");
                    Assert.True(layout.Blocks % layout.Splits == 0 && layout.Blocks is > 0 and <= 132, $"{layout}");
                }
    }

    private static void Check(Gpu gpu, SkinnyForm form, SkinnyOperands operands, float[] expected)
    {
        using var scratch = gpu.Poisoned(SkinnyProduct.ScratchBytes(form, gpu.Cuda.Device) / 4, CudaType.Float32);
        gpu.Cuda.Stream.Fill(scratch.Pointer, 0, Math.Min(scratch.Bytes, SkinnyProduct.CounterBytes));
        Check(gpu, form, form.Rows, expected, y => SkinnyProduct.Launch(gpu.Cuda, form, operands with { Y = y, Scratch = scratch.Pointer }));
        if (scratch.Bytes > 0)
            Assert.All(gpu.Read(scratch, CudaType.Float32)[..(SkinnyProduct.CounterBytes / 4)], value => Assert.Equal(0, value));
    }

    private static void Check(Gpu gpu, SkinnyForm form, int rows, float[] expected, Action<nint> run)
    {
        var results = new List<float[]>();
        for (var i = 0; i < 2; i++)
        {
            using var output = gpu.Poisoned((long)rows * form.Columns, form.Output);
            run(output.Pointer);
            results.Add(gpu.Read(output, form.Output));
        }

        var error = Gpu.Error(expected, results[0]);
        Assert.True(error < (form.Output == CudaType.Float32 ? Float32Tolerance : Tolerance), $"{form}: relative error {error:e2}");
        Assert.Equal(results[0], results[1]);
    }

    internal static float[] Multiply(float[] x, float[] w, int rows, int outputs, int inputs)
    {
        var result = new float[rows * outputs];
        Parallel.For(0, outputs, c =>
        {
            for (var r = 0; r < rows; r++)
            {
                double sum = 0;
                for (var i = 0; i < inputs; i++)
                    sum += (double)x[r * inputs + i] * w[c * inputs + i];
                result[r * outputs + c] = (float)sum;
            }
        });
        return result;
    }

    internal static float[] Gate(float[] sums, int rows, int outputs, GateKind gate, float? limit)
    {
        var half = outputs / 2;
        var result = new float[rows * half];
        for (var i = 0; i < result.Length; i++)
        {
            var (row, c) = (i / half * outputs, i % half);
            var (g, u) = gate == GateKind.Interleaved ? (sums[row + 2 * c], sums[row + 2 * c + 1]) : (sums[row + c], sums[row + half + c]);
            result[i] = limit is { } l
                ? (float)((Math.Clamp(u, -l, l) + 1) * Math.Min(g, l) / (1 + Math.Exp(-1.702 * Math.Min(g, l))))
                : (float)(g / (1 + Math.Exp(-g)) * u);
        }

        return result;
    }
}
