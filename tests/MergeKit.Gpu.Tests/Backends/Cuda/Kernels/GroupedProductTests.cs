using MergeKit.Core.Architectures;
using MergeKit.Inference.Backends;
using MergeKit.Inference.Backends.Cuda;
using MergeKit.Inference.Backends.Cuda.Kernels;

namespace MergeKit.Gpu.Tests.Backends.Cuda.Kernels;

/// <summary>Products by expert and log-probabilities against plain loops in double precision.</summary>
public class GroupedProductTests
{
    private const double Tolerance = 4e-3;

    public static TheoryData<int[], int, int> Problems => new()
    {
        { [5, 0, 130, 1, 0, 300, 257, 64, 0], 512, 256 },
        { [0, 0, 700, 16, 17], 784, 328 },
        { [.. Enumerable.Repeat(64, 20), 0, 0, 0, 999], 256, 512 },
        { [1001], 528, 200 },
        { [1], 16, 8 },
        { [700], 1536, 64 },
    };

    [Theory]
    [MemberData(nameof(Problems))]
    public void Experts_equal_plain_loops_with_every_tile(int[] counts, int outputs, int inputs)
    {
        using var gpu = OpenHopper();
        var ends = counts.Select((_, i) => counts[..(i + 1)].Sum()).ToArray();
        var rows = ends[^1];
        var (x, w) = (Gpu.Random(rows * inputs, 1), Gpu.Random(counts.Length * outputs * inputs, 2, 2 / MathF.Sqrt(inputs)));
        var bias = Gpu.Random(counts.Length * outputs, 3);
        using var input = gpu.Send(x, CudaType.BFloat16);
        using var weights = gpu.Send(w, CudaType.BFloat16);
        using var offset = gpu.Send(bias, CudaType.Float32);
        using var list = gpu.Send(ends);
        var sums = new List<float[]>();
        for (var e = 0; e < counts.Length; e++)
            sums.Add(SkinnyProductTests.Multiply(
                x[((ends[e] - counts[e]) * inputs)..(ends[e] * inputs)], w[(e * outputs * inputs)..((e + 1) * outputs * inputs)], counts[e], outputs, inputs));
        var biased = sums.Select((part, e) => part.Select((value, i) => value + bias[e * outputs + i % outputs]).ToArray()).ToList();
        foreach (var form in new[]
        {
            new GroupedForm(outputs, inputs, counts.Length), new GroupedForm(outputs, inputs, counts.Length, Biased: true),
            new GroupedForm(outputs, inputs, counts.Length, Gated: true), new GroupedForm(outputs, inputs, counts.Length, Gated: true, Limit: 1.5f, Biased: true),
        })
        {
            var parts = form.Biased ? biased : sums;
            var expected = parts.SelectMany((part, e) => form.Gated ? SkinnyProductTests.Gate(part, counts[e], outputs, GateKind.Interleaved, form.Limit) : part).ToArray();
            foreach (var tile in new[] { GroupedProduct.Choose(64, 1), GroupedProduct.Choose(192, 1), GroupedProduct.Choose(512, 1) })
                Check(gpu, form, tile, rows, expected, new GroupedOperands(
                    input.Pointer, weights.Pointer, 0, counts.Length == 1 ? 0 : list.Pointer, form.Biased ? offset.Pointer : 0));
        }
    }

    [Theory]
    [InlineData(1, 1000, 64, 0f, 1f)]
    [InlineData(300, 2050, 200, 0f, 1f)]
    [InlineData(129, 5000, 256, 12f, 0.5f)]
    public void Log_probabilities_equal_plain_loops(int rows, int vocabulary, int inputs, float softcap, float scale)
    {
        using var gpu = OpenHopper();
        var (x, w, bias) = (Gpu.Random(rows * inputs, 4), Gpu.Random(vocabulary * inputs, 5, 3 / MathF.Sqrt(inputs)), Gpu.Random(vocabulary, 6));
        var targets = Enumerable.Range(0, rows).Select(i => i % 17 == 3 ? -1 : i * 7919 % vocabulary).ToArray();
        using var input = gpu.Send(x, CudaType.BFloat16);
        using var weights = gpu.Send(w, CudaType.BFloat16);
        using var offset = gpu.Send(bias, CudaType.Float32);
        using var wanted = gpu.Send(targets);
        var sums = SkinnyProductTests.Multiply(x, w, rows, vocabulary, inputs);
        foreach (var withBias in new[] { false, true })
        {
            using var partials = gpu.Poisoned(GroupedProduct.PartialBytes(rows, vocabulary) / 4, CudaType.Float32);
            using var logits = gpu.Poisoned(rows, CudaType.Float32);
            using var states = gpu.Poisoned(4L * rows, CudaType.Float32);
            var operands = new ScoreOperands(input.Pointer, weights.Pointer, withBias ? offset.Pointer : 0, wanted.Pointer, partials.Pointer, logits.Pointer);
            GroupedProduct.LaunchScores(gpu.Cuda, rows, vocabulary, inputs, scale, softcap, operands);
            ScoreHead.Merge(gpu.Cuda, rows, vocabulary, operands, states.Pointer);
            var result = new ScoreHead.State[rows];
            gpu.Cuda.Stream.Download<ScoreHead.State>(states.Pointer, result);
            for (var r = 0; r < rows; r++)
            {
                var row = Enumerable.Range(0, vocabulary).Select(c => ((double)sums[r * vocabulary + c] + (withBias ? bias[c] : 0)) * scale)
                    .Select(value => softcap > 0 ? softcap * Math.Tanh(value / softcap) : value).ToArray();
                var max = row.Max();
                var logSum = max + Math.Log(row.Sum(value => Math.Exp(value - max)));
                if (targets[r] >= 0)
                    Assert.InRange(result[r].LogProbability - (row[targets[r]] - logSum), -1e-3, 1e-3);
                else
                    Assert.Equal(float.NegativeInfinity, result[r].LogProbability);
                Assert.InRange(max - row[result[r].ArgMax], 0, 1e-4);
            }
        }
    }

    private static void Check(Gpu gpu, GroupedForm form, GroupedTile tile, int rows, float[] expected, GroupedOperands operands)
    {
        const int Behind = 3;
        var results = new List<float[]>();
        for (var i = 0; i < 2; i++)
        {
            using var output = gpu.Poisoned((long)(rows + Behind) * form.Columns, CudaType.BFloat16);
            GroupedProduct.Launch(gpu.Cuda, form, tile, rows, operands with { Y = output.Pointer });
            results.Add(gpu.Read(output, CudaType.BFloat16));
        }

        var error = Gpu.Error(expected, results[0][..expected.Length]);
        Assert.True(error < Tolerance, $"{form}, {tile}: relative error {error:e2}");
        Assert.All(results[0][expected.Length..], value => Assert.True(float.IsNaN(value), "rows behind the last were written"));
        Assert.Equal(results[0], results[1]);
    }

    private static Gpu OpenHopper()
    {
        var gpu = Gpu.Open();
        var (isHopper, name) = (gpu.Cuda.Device.IsHopper, gpu.Cuda.Device.Name);
        if (!isHopper)
            gpu.Dispose();
        Assert.SkipUnless(isHopper, $"not run: {name} is no Hopper");
        return gpu;
    }
}
