using MergeKit.Core.Architectures;
using MergeKit.Inference.Backends.Cpu;
using MergeKit.Inference.Backends.Cuda;
using MergeKit.Inference.Backends.Cuda.Kernels;

namespace MergeKit.Gpu.Tests.Backends.Cuda.Kernels;

/// <summary>The choice of experts against the CPU's, and the order of rows against a sort.</summary>
public class RoutingTests
{
    private const int Width = 72;

    public static TheoryData<int, int, RouterScoring, bool, int, int, GroupRanking, bool, float> Rules => new()
    {
        { 128, 8, RouterScoring.Softmax, true, 1, 1, GroupRanking.Best, false, 1f },
        { 256, 8, RouterScoring.Sigmoid, true, 8, 4, GroupRanking.SumOfBestTwo, true, 2.5f },
        { 64, 6, RouterScoring.Softmax, false, 8, 3, GroupRanking.Best, false, 16f },
        { 8, 2, RouterScoring.SoftmaxOfChosen, false, 1, 1, GroupRanking.Best, false, 1f },
        { 32, 4, RouterScoring.SoftmaxOfChosen, false, 1, 1, GroupRanking.Best, false, 1f },
        { 60, 4, RouterScoring.Softmax, false, 1, 1, GroupRanking.Best, false, 1f },
        { 3, 1, RouterScoring.Softmax, true, 1, 1, GroupRanking.Best, true, 1f },
        { 512, 10, RouterScoring.Softmax, true, 1, 1, GroupRanking.Best, false, 1f },
    };

    [Theory]
    [MemberData(nameof(Rules))]
    public void Chooses_as_the_CPU_does_and_sorts_rows_by_expert(
        int experts, int topK, RouterScoring scoring, bool normalise, int groups, int topGroups, GroupRanking ranking, bool corrected, float scale)
    {
        using var gpu = Gpu.Open();
        var spec = new RoutingSpec
        {
            Experts = experts,
            TopK = topK,
            Scoring = scoring,
            Normalise = normalise,
            Groups = groups,
            TopGroups = topGroups,
            Ranking = ranking,
            Scale = scale,
        };
        foreach (var tokens in new[] { 1, 7, 100, 1500 })
        {
            var (logits, correction) = (Gpu.Random(tokens * experts, (ulong)tokens), corrected ? Gpu.Random(experts, 9, 0.1f) : null);
            var (expected, shares) = (new int[tokens * topK], new float[tokens * topK]);
            for (var t = 0; t < tokens; t++)
                CpuRouter.Choose(spec, correction, logits.AsSpan(t * experts, experts).ToArray(), expected.AsSpan(t * topK, topK), shares.AsSpan(t * topK, topK));
            using var sent = gpu.Send(logits, CudaType.Float32);
            using var added = gpu.Send(correction ?? [0], CudaType.Float32);
            Check(gpu, spec, tokens, sent.Pointer, corrected ? added.Pointer : 0, expected, shares);
        }
    }

    [Fact]
    public void All_tokens_to_one_expert()
    {
        using var gpu = Gpu.Open();
        var spec = new RoutingSpec { Experts = 16, TopK = 1, Scoring = RouterScoring.Softmax };
        const int Tokens = 3000;
        var logits = new float[Tokens * 16];
        for (var t = 0; t < Tokens; t++)
            logits[t * 16 + 11] = 100;
        using var sent = gpu.Send(logits, CudaType.Float32);
        Check(gpu, spec, Tokens, sent.Pointer, 0, [.. Enumerable.Repeat(11, Tokens)], [.. Enumerable.Repeat(1f, Tokens)]);
    }

    private static void Check(Gpu gpu, RoutingSpec spec, int tokens, nint logits, nint correction, int[] expected, float[] shares)
    {
        var entries = tokens * spec.TopK;
        using var chosen = gpu.Poisoned(entries, CudaType.Float32);
        using var weights = gpu.Poisoned(entries, CudaType.Float32);
        using var ends = gpu.Poisoned(spec.Experts, CudaType.Float32);
        using var rows = gpu.Poisoned(entries, CudaType.Float32);
        using var scratch = gpu.Poisoned(Routing.ScratchBytes(spec, tokens) / 4, CudaType.Float32);
        var operands = new RoutingOperands(chosen.Pointer, weights.Pointer, ends.Pointer, rows.Pointer, scratch.Pointer);
        Routing.Route(gpu.Cuda, spec, tokens, logits, correction, operands);
        Routing.Place(gpu.Cuda, spec, tokens, operands);
        var (got, at, last) = (new int[entries], new int[entries], new int[spec.Experts]);
        gpu.Cuda.Stream.Download<int>(chosen.Pointer, got);
        gpu.Cuda.Stream.Download<int>(rows.Pointer, at);
        gpu.Cuda.Stream.Download<int>(ends.Pointer, last);
        Assert.Equal(expected, got);
        Assert.InRange(Gpu.Error(shares, gpu.Read(weights, CudaType.Float32)), 0, 1e-5);
        var order = Enumerable.Range(0, entries).OrderBy(entry => expected[entry]).ThenBy(entry => entry).ToArray();
        var places = new int[entries];
        for (var i = 0; i < entries; i++)
            places[order[i]] = i;
        Assert.Equal(places, at);
        Assert.Equal(Enumerable.Range(0, spec.Experts).Select(e => expected.Count(expert => expert <= e)), last);
        CheckRows(gpu, spec, tokens, operands, places, gpu.Read(weights, CudaType.Float32));
    }

    private static void CheckRows(Gpu gpu, RoutingSpec spec, int tokens, RoutingOperands operands, int[] places, float[] weights)
    {
        var entries = tokens * spec.TopK;
        var (x, y) = (Gpu.Random(tokens * Width, 1), Gpu.Random(tokens * Width, 2));
        using var input = gpu.Send(x, CudaType.BFloat16);
        using var permuted = gpu.Poisoned((long)entries * Width, CudaType.BFloat16);
        using var output = gpu.Send(y, CudaType.Float32);
        Routing.Permute(gpu.Cuda, spec, tokens, Width, input.Pointer, operands.Rows, permuted.Pointer, CudaType.BFloat16);
        var moved = gpu.Read(permuted, CudaType.BFloat16);
        for (var entry = 0; entry < entries; entry++)
            Assert.Equal(x.AsSpan(entry / spec.TopK * Width, Width), moved.AsSpan(places[entry] * Width, Width));
        Routing.Unpermute(gpu.Cuda, spec, tokens, Width, permuted.Pointer, CudaType.BFloat16, operands, output.Pointer, CudaType.Float32, accumulate: true);
        for (var i = 0; i < y.Length; i++)
            for (var k = 0; k < spec.TopK; k++)
                y[i] += weights[i / Width * spec.TopK + k] * x[i];
        Assert.InRange(Gpu.Error(y, gpu.Read(output, CudaType.Float32)), 0, 1e-5);
    }
}
