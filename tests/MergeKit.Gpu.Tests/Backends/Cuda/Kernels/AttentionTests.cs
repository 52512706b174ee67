using MergeKit.Inference.Backends.Cuda;
using MergeKit.Inference.Backends.Cuda.Kernels;

namespace MergeKit.Gpu.Tests.Backends.Cuda.Kernels;

/// <summary>Both attention kernels against plain loops in double precision, over ragged and paged keys and values.</summary>
public class AttentionTests
{
    private const double Float32Tolerance = 2e-5, BFloat16Tolerance = 6e-3;

    private static readonly (int Queries, int Keys)[] Lengths = [(1, 1), (63, 63), (64, 64), (65, 65), (200, 200), (1, 130), (70, 333)];

    public static TheoryData<int, int, int, int, bool, int, float, bool, bool> Forms => new()
    {
        { 4, 2, 64, 64, true, 0, 0, false, false },
        { 6, 2, 128, 128, true, 0, 0, false, false },
        { 4, 4, 128, 128, false, 0, 0, false, false },
        { 4, 1, 256, 256, true, 0, 0, false, false },
        { 4, 2, 80, 80, true, 0, 0, false, false },
        { 3, 3, 192, 128, true, 0, 0, false, false },
        { 4, 2, 64, 64, true, 40, 0, false, true },
        { 4, 2, 128, 128, true, 100, 20, false, false },
        { 4, 4, 64, 64, false, 70, 0, false, false },
        { 8, 1, 64, 64, true, 0, 0, true, false },
        { 4, 2, 20, 12, true, 7, 30, true, true },
    };

    [Theory]
    [MemberData(nameof(Forms))]
    public void Equals_plain_loops(int heads, int kvHeads, int headDim, int valueDim, bool causal, int window, float softcap, bool alibi, bool sinks)
    {
        using var gpu = Gpu.Open();
        foreach (var type in Enum.GetValues<CudaType>())
        {
            var form = new AttentionForm(type, heads, kvHeads, headDim, valueDim, 1 / MathF.Sqrt(headDim), causal, window, softcap, alibi, sinks);
            using var problem = new AttentionProblem(gpu, form, Lengths, seed: (ulong)(heads * 1000 + headDim + window));
            foreach (var paged in new[] { false, true })
            {
                var tolerance = type == CudaType.Float32 ? Float32Tolerance : BFloat16Tolerance;
                Check(problem, paged, tolerance, operands => AttentionPlain.Launch(gpu.Cuda, form, problem.Tokens, operands), "plain");
                if (AttentionMma.Supports(form))
                    Check(problem, paged, tolerance, operands => AttentionMma.Launch(gpu.Cuda, form, problem.TileCount, operands), "mma");
            }
        }
    }

    [Theory]
    [InlineData(64, true, 0, 0, false)]
    [InlineData(64, false, 0, 0, false)]
    [InlineData(128, true, 0, 0, false)]
    [InlineData(128, false, 0, 0, false)]
    [InlineData(128, true, 100, 0, true)]
    [InlineData(64, true, 300, 20, false)]
    [InlineData(128, false, 70, 0, false)]
    [InlineData(64, false, 0, 30, true)]
    [InlineData(128, true, 1, 0, false)]
    public void Hopper_equals_plain_loops_with_every_tile(int headDim, bool causal, int window, float softcap, bool sinks)
    {
        using var gpu = Gpu.Open();
        Assert.SkipUnless(gpu.Cuda.Device.IsHopper, $"not run: {gpu.Cuda.Device.Name} is no Hopper");
        var form = new AttentionForm(CudaType.BFloat16, 6, 2, headDim, headDim, 1 / MathF.Sqrt(headDim), causal, window, softcap, false, sinks);
        using var counter = gpu.Send(new int[2]);
        foreach (var lengths in new[] { Lengths, [(127, 127), (128, 128), (129, 129), (193, 500), (300, 177), (700, 700)] })
        {
            using var problem = new AttentionProblem(gpu, form, lengths, seed: (ulong)headDim);
            foreach (var shape in new[] { 1, 512, 1024, 4096 }.Select(longest => AttentionHopper.Choose(headDim, causal, longest)).Distinct())
            {
                var tiles = AttentionHopper.Tiles(problem.Spans, form, shape.Rows);
                using var list = gpu.Send(tiles);
                Check(problem, paged: false, BFloat16Tolerance, operands => AttentionHopper.Launch(
                    gpu.Cuda, form, shape, problem.Tokens, problem.KeyRows, tiles.Length, counter.Pointer, operands with { Tiles = list.Pointer }), $"hopper {shape}");
            }
        }

        Assert.Equal([0f, 0f], gpu.Read(counter, CudaType.Float32));
    }

    private static void Check(AttentionProblem problem, bool paged, double tolerance, Action<AttentionOperands> run, string name)
    {
        var (first, second) = (problem.Run(paged, run), problem.Run(paged, run));
        var error = Gpu.Error(problem.Expected, first);
        Assert.True(error < tolerance, $"{name}, {problem.Form}, paged {paged}: relative error {error:e2}, {tolerance:e0} allowed");
        Assert.Equal(first, second);
    }
}
