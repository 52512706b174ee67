using MergeKit.Core.Models;
using MergeKit.Inference.Backends.Cuda;
using MergeKit.Inference.Backends.Cuda.Kernels;

namespace MergeKit.Gpu.Tests.Backends.Cuda.Kernels;

/// <summary>One law from the logits of several members, against sums in double precision.</summary>
public class CombineRowsTests
{
    private static readonly float[] Signed = [0.7f, 1.5f, -0.9f, 0.2f, -0.1f, 1, 0.4f, 0.3f];

    [Theory]
    [InlineData(1, 1, 1)]
    [InlineData(2, 3, 4)]
    [InlineData(2, 40, 50257)]
    [InlineData(3, 5, 128256)]
    [InlineData(3, 7, 4100)]
    [InlineData(8, 2, 999)]
    public void Equals_sums_in_double(int members, int rows, int width)
    {
        using var gpu = Gpu.Open();
        foreach (var rule in Enum.GetValues<LawRule>())
        {
            var weights = Signed[..members];
            if (rule == LawRule.Mixture)
                weights = Array.ConvertAll(weights, weight => Math.Abs(weight) / weights.Sum(Math.Abs));
            var logits = Enumerable.Range(0, members).Select(k => Gpu.Random(rows * width, (ulong)k + 1, 4)).ToArray();
            // An id that no member allows; with weights of both signs it would have no value.
            if (width > 2 && weights.All(weight => weight > 0))
                foreach (var row in logits)
                    row[1] = float.NegativeInfinity;
            var sent = logits.Select(row => gpu.Send(row, CudaType.Float32)).ToArray();
            using var output = gpu.Poisoned((long)rows * width, CudaType.Float32);
            // Every second row has the members' weights in reverse.
            var own = Enumerable.Range(0, rows).Select(row => row % 2 == 0 ? weights : [.. weights.Reverse()]).ToArray();
            using var coefficients = gpu.Send([.. own.SelectMany(row => rule == LawRule.Mixture ? Array.ConvertAll(row, MathF.Log) : row)], CudaType.Float32);
            CombineRows.Launch(gpu.Cuda, rule, Array.ConvertAll(sent, row => row.Pointer), coefficients.Pointer, output.Pointer, rows, width);
            var actual = gpu.Read(output, CudaType.Float32);
            for (var row = 0; row < rows; row++)
                Compare(Expected(rule, logits, own[row], row * width, width), actual.AsSpan(row * width, width));
            foreach (var buffer in sent)
                buffer.Dispose();
        }
    }

    private static void Compare(double[] expected, ReadOnlySpan<float> actual)
    {
        for (var i = 0; i < expected.Length; i++)
            if (double.IsNegativeInfinity(expected[i]))
                Assert.Equal(float.NegativeInfinity, actual[i]);
            else
                Assert.InRange(actual[i] - expected[i], -1e-5 * Math.Max(1, Math.Abs(expected[i])), 1e-5 * Math.Max(1, Math.Abs(expected[i])));
    }

    private static double[] Expected(LawRule rule, float[][] logits, float[] weights, int at, int width)
    {
        var laws = Array.ConvertAll(logits, row => LogSoftmax([.. row.AsSpan(at, width).ToArray().Select(x => (double)x)]));
        if (rule == LawRule.Mixture)
            return [.. Enumerable.Range(0, width).Select(i => Math.Log(laws.Select((law, k) => weights[k] * Math.Exp(law[i])).Sum()))];
        return LogSoftmax([.. Enumerable.Range(0, width).Select(i => logits.Select((row, k) => (double)weights[k] * row[at + i]).Sum())]);
    }

    private static double[] LogSoftmax(double[] x)
    {
        var top = x.Max();
        var sum = Math.Log(x.Sum(value => Math.Exp(value - top)));
        return Array.ConvertAll(x, value => value - top - sum);
    }
}
