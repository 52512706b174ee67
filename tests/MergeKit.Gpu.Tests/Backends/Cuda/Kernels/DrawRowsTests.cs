using MergeKit.Inference.Backends;
using MergeKit.Inference.Backends.Cuda;
using MergeKit.Inference.Backends.Cuda.Kernels;
using MergeKit.Inference.Runtime;

namespace MergeKit.Gpu.Tests.Backends.Cuda.Kernels;

/// <summary>Draws on the device are those of the sampler.</summary>
public class DrawRowsTests
{
    public static TheoryData<int, SamplerOptions> Rules => new(
        from width in (int[])[1, 7, 1000, 50257, 128256]
        from options in (SamplerOptions[])
        [
            new() { Seed = 1 },
            new() { Seed = 2, Temperature = 0.3f },
            new() { Seed = 3, TopK = 5 },
            new() { Seed = 4, TopP = 0.9f },
            new() { Seed = 5, TopP = 0.5f, TopK = 40, Temperature = 1.7f },
            new() { Seed = 6, MinP = 0.05f },
            new() { Seed = 7, TopP = 0.8f, MinP = 0.2f, TopK = 1000 },
        ]
        select (width, options));

    [Theory]
    [MemberData(nameof(Rules))]
    public void Draws_are_those_of_the_sampler(int width, SamplerOptions options)
    {
        using var gpu = Gpu.Open();
        const int Rows = 24;
        var logits = Gpu.Random(Rows * width, options.Seed, 3);
        // Half of the rows have few different logits, so that ties decide.
        for (var i = 0; i < logits.Length; i++)
            logits[i] = i / width % 2 == 0 ? logits[i] : MathF.Round(logits[i]);
        for (var row = 0; row < Rows && width > 2; row += 3)
            logits[(row * width) + 1] = float.NegativeInfinity;
        var sampler = new Sampler(options);
        var rules = Enumerable.Range(0, Rows).Select(row => sampler.Rule(row)!.Value).ToArray();
        var drawn = Draw(gpu, logits, width, rules);
        var expected = Enumerable.Range(0, Rows).Select(row => sampler.Next(logits.AsSpan(row * width, width).ToArray(), [], row));
        Assert.Equal(expected, drawn);
    }

    [Fact]
    public void Rows_without_a_finite_largest_logit_give_no_id()
    {
        using var gpu = Gpu.Open();
        float[] logits = [1, float.NaN, 0, float.NegativeInfinity, float.NegativeInfinity, float.NegativeInfinity, 2, float.PositiveInfinity, 1, 3, 2, 1];
        Assert.Equal([-1, -1, -1, 0], Draw(gpu, logits, 3, [.. Enumerable.Repeat(new DrawRule(1, 0, 1, 0, 0), 4)]));
    }

    [Theory]
    [InlineData(0.0, 0)]
    [InlineData(0.2499, 0)]
    [InlineData(0.2501, 1)]
    [InlineData(0.9999999, 3)]
    public void Ids_are_drawn_in_their_order(double uniform, int id)
    {
        using var gpu = Gpu.Open();
        Assert.Equal([id], Draw(gpu, [2, 2, 2, 2], 4, [new DrawRule(1, 0, 1, 0, uniform)]));
    }

    private static int[] Draw(Gpu gpu, float[] logits, int width, DrawRule[] rules)
    {
        using var sent = gpu.Send(logits, CudaType.Float32);
        using var uniforms = gpu.Send(Array.ConvertAll(rules, rule => rule.Uniform));
        using var ids = gpu.Send(Array.ConvertAll(rules, _ => -7));
        DrawRows.Launch(gpu.Cuda, rules[0], new DrawOperands(sent.Pointer, 0, uniforms.Pointer, ids.Pointer, width), rules.Length);
        var drawn = new int[rules.Length];
        gpu.Cuda.Stream.Download<int>(ids.Pointer, drawn);
        return drawn;
    }
}
