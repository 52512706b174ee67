using MergeKit.Inference.Backends.Cpu.Kernels;

namespace MergeKit.Inference.Tests.Backends.Cpu.Kernels;

/// <summary>Vector operations on every path against their formulas in double precision.</summary>
public sealed class VectorOpsTests
{
    private static readonly int[] Sizes = [1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 32, 33, 63, 65, 127, 576, 1000];

    private static readonly Dictionary<VectorFunction, Func<double, double>> Functions = new()
    {
        [VectorFunction.Silu] = x => x / (1 + Math.Exp(-x)),
        [VectorFunction.QuickGelu] = x => x / (1 + Math.Exp(-1.702 * x)),
        [VectorFunction.Gelu] = x => x * NormalDistribution(x),
        [VectorFunction.GeluTanh] = x => 0.5 * x * (1 + Math.Tanh(Math.Sqrt(2 / Math.PI) * (x + (0.044715 * x * x * x)))),
        [VectorFunction.Tanh] = Math.Tanh,
    };

    [Theory]
    [MemberData(nameof(KernelPaths.Data), MemberType = typeof(KernelPaths))]
    public void Functions_follow_their_formulas(InstructionPath path)
    {
        var operations = VectorOperations.For(path);
        foreach (var (function, formula) in Functions)
        {
            var inputs = Enumerable.Range(-12_000, 24_001).Select(i => i / 1000f).Concat([0f, -0f, 1e-20f, -1e-20f, 30, 88, 200, 1e10f]).ToArray();
            var outputs = (float[])inputs.Clone();
            operations.Map(function, outputs);
            for (var i = 0; i < inputs.Length; i++)
            {
                var expected = formula(inputs[i]);
                Assert.True(Math.Abs(expected - outputs[i]) <= (1e-6 * Math.Abs(expected)) + 4e-7 * Math.Min(1, Math.Abs(inputs[i])), $"{path} {function}({inputs[i]}) is {outputs[i]}, not {expected}");
            }

            float[] special = [float.NaN, -1e10f, -200f, 1];
            operations.Map(function, special);
            Assert.True(float.IsNaN(special[0]));
            Assert.Equal(function == VectorFunction.Tanh ? -1 : 0, special[1]);
            Assert.Equal(function == VectorFunction.Tanh ? -1 : 0, special[2]);
        }
    }

    [Theory]
    [MemberData(nameof(KernelPaths.Data), MemberType = typeof(KernelPaths))]
    public void Position_in_the_vector_does_not_change_a_bit(InstructionPath path)
    {
        var operations = VectorOperations.For(path);
        var random = new SplitMix(11);
        foreach (var function in Functions.Keys)
        {
            foreach (var size in Sizes)
            {
                var (gate, up) = (random.Array(size, -6, 6), random.Array(size));
                var mapped = (float[])gate.Clone();
                operations.Map(function, mapped);
                var gated = new float[size];
                operations.MapGated(function, gate, up, gated);
                for (var i = 0; i < size; i++)
                {
                    float[] alone = [gate[i]];
                    operations.Map(function, alone);
                    Assert.Equal(alone[0], mapped[i]);
                    Assert.Equal(alone[0] * up[i], gated[i]);
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(KernelPaths.Data), MemberType = typeof(KernelPaths))]
    public void Norms_follow_their_formulas(InstructionPath path)
    {
        var operations = VectorOperations.For(path);
        var random = new SplitMix(12);
        foreach (var size in Sizes)
        {
            var (x, weight, bias) = (random.Array(size, -3, 5), random.Array(size), random.Array(size));
            var y = new float[size];
            operations.RmsNorm(x, weight, 1e-5f, y);
            var scale = 1 / Math.Sqrt((x.Sum(v => (double)v * v) / size) + 1e-5);
            AssertClose(x.Select((v, i) => v * scale * weight[i]), y, 1e-6);
            var inPlace = (float[])x.Clone();
            operations.RmsNorm(inPlace, weight, 1e-5f, inPlace);
            Assert.Equal(y, inPlace);

            var mean = x.Average(v => (double)v);
            var deviation = 1 / Math.Sqrt(x.Average(v => (v - mean) * (v - mean)) + 1e-3);
            operations.LayerNorm(x, weight, bias, 1e-3f, y);
            AssertClose(x.Select((v, i) => ((v - mean) * deviation * weight[i]) + bias[i]), y, 2e-6);
            operations.LayerNorm(x, weight, [], 1e-3f, y);
            AssertClose(x.Select((v, i) => (v - mean) * deviation * weight[i]), y, 2e-6);
        }
    }

    [Theory]
    [MemberData(nameof(KernelPaths.Data), MemberType = typeof(KernelPaths))]
    public void Softmax_follows_its_formula(InstructionPath path)
    {
        var operations = VectorOperations.For(path);
        var random = new SplitMix(13);
        foreach (var size in Sizes)
        {
            var x = random.Array(size, -30, 90);
            if (size > 3)
                x[1] = float.NegativeInfinity;
            var maximum = x.Max();
            var sum = x.Sum(v => Math.Exp((double)v - maximum));
            var y = (float[])x.Clone();
            operations.Softmax(y);
            AssertClose(x.Select(v => Math.Exp((double)v - maximum) / sum), y, 1e-6);
            if (size > 3)
                Assert.Equal(0, y[1]);
        }

        float[] nothing = [float.NegativeInfinity, float.NegativeInfinity, float.NegativeInfinity];
        operations.Softmax(nothing);
        Assert.Equal([0f, 0f, 0f], nothing);
        operations.Softmax([]);
        float[] poisoned = [float.NaN, float.NegativeInfinity, 1];
        operations.Softmax(poisoned);
        Assert.True(float.IsNaN(poisoned[2]));
    }

    [Theory]
    [MemberData(nameof(KernelPaths.Data), MemberType = typeof(KernelPaths))]
    public void Log_sum_exp_of_chunks_is_that_of_the_whole(InstructionPath path)
    {
        var operations = VectorOperations.For(path);
        var random = new SplitMix(14);
        foreach (var size in Sizes)
        {
            var logits = random.Array(size, -40, 40);
            logits[size / 2] = logits[size - 1] = 40.5f;
            var state = new LogSumExp();
            for (int first = 0, length; first < size; first += length)
            {
                length = Math.Min(size - first, 1 + random.Below(100));
                operations.Accumulate(logits.AsSpan(first, length), first, ref state);
            }

            Assert.Equal(size / 2, state.ArgMax);
            Assert.Equal(Math.Log(logits.Sum(v => Math.Exp(v))), state.Value, 1e-6);
        }

        var empty = new LogSumExp();
        operations.Accumulate([float.NegativeInfinity], 0, ref empty);
        Assert.Equal((-1, double.NegativeInfinity), (empty.ArgMax, empty.Value));
        foreach (var poisoned in new float[][] { [float.NaN], [1, float.NaN, 2], [float.NaN, float.NaN] })
        {
            var state = new LogSumExp();
            operations.Accumulate(poisoned, 0, ref state);
            Assert.True(double.IsNaN(state.Value));
        }
    }

    [Fact]
    public void Refuses_vectors_of_different_lengths()
    {
        Assert.Throws<ArgumentException>(() => VectorOps.RmsNorm(new float[3], new float[2], 0, new float[3]));
        Assert.Throws<ArgumentException>(() => VectorOps.LayerNorm(new float[3], new float[3], new float[2], 0, new float[3]));
        Assert.Throws<ArgumentException>(() => VectorOps.Gated(VectorFunction.Silu, new float[3], new float[3], new float[4]));
    }

    /// <summary>By Simpson's rule from -12.</summary>
    private static double NormalDistribution(double x)
    {
        if (x < 0)
            return 1 - NormalDistribution(-x) is var small && small > 1e-7 ? small : Tail(-x);
        if (x > 12)
            return 1;
        const int steps = 400;
        var (sum, h) = (0.0, x / steps);
        for (var i = 0; i <= steps; i++)
            sum += (i == 0 || i == steps ? 1 : i % 2 == 1 ? 4 : 2) * Math.Exp(-0.5 * i * h * i * h);
        return 0.5 + (sum * h / 3 / Math.Sqrt(2 * Math.PI));
    }

    /// <summary>The upper tail by its continued fraction.</summary>
    private static double Tail(double x)
    {
        double fraction = x;
        for (var k = 60; k >= 1; k--)
            fraction = x + (k / fraction);
        return Math.Exp(-0.5 * x * x) / Math.Sqrt(2 * Math.PI) / fraction;
    }

    private static void AssertClose(IEnumerable<double> expected, float[] actual, double tolerance)
    {
        var at = 0;
        foreach (var value in expected)
        {
            Assert.True(Math.Abs(value - actual[at]) <= tolerance * Math.Max(1, Math.Abs(value)), $"element {at} is {actual[at]}, not {value}");
            at++;
        }
    }
}
