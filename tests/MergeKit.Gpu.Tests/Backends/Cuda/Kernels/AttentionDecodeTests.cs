using MergeKit.Inference.Backends.Cuda;
using MergeKit.Inference.Backends.Cuda.Kernels;

namespace MergeKit.Gpu.Tests.Backends.Cuda.Kernels;

/// <summary>Decoding attention over shuffled pages against plain loops in double precision, and its plans.</summary>
public class AttentionDecodeTests
{
    private const double Tolerance = 6e-3;

    public static TheoryData<int, int, int, int, float, bool, bool> Forms => new()
    {
        { 8, 2, 128, 0, 0, false, false },
        { 32, 8, 64, 0, 0, false, false },
        { 5, 1, 128, 0, 0, false, false },
        { 8, 1, 256, 0, 0, false, false },
        { 71, 1, 64, 0, 0, false, false },
        { 4, 4, 128, 100, 0, false, true },
        { 8, 1, 64, 0, 30, false, true },
        { 16, 2, 256, 130, 20, false, false },
        { 12, 4, 128, 0, 0, true, false },
        { 4, 2, 64, 17, 0, true, true },
    };

    [Theory]
    [MemberData(nameof(Forms))]
    public void Equals_plain_loops(int heads, int kvHeads, int headDim, int window, float softcap, bool alibi, bool sinks)
    {
        using var gpu = Gpu.Open();
        var form = new AttentionForm(CudaType.BFloat16, heads, kvHeads, headDim, headDim, 1 / MathF.Sqrt(headDim), true, window, softcap, alibi, sinks);
        foreach (var lengths in new int[][] { [1, 17, 64, 65, 1000, 3, 2049, 128], [2500] })
        {
            using var problem = new AttentionProblem(gpu, form, Array.ConvertAll(lengths, length => (1, length)), seed: (ulong)(heads * 100 + headDim + window));
            DecodeShape[] shapes = headDim == 256 ? [new(4, 2, true)] : [new(8, 1, true), new(4, 3, false)];
            foreach (var shape in shapes)
                foreach (var multiprocessors in new[] { 1, 8, gpu.Cuda.Device.Multiprocessors })
                    Check(gpu, problem, form, shape, AttentionDecode.Plan(form, shape, lengths, multiprocessors));
        }
    }

    [Fact]
    public void A_graph_is_replayed_with_another_plan()
    {
        using var gpu = Gpu.Open();
        var form = new AttentionForm(CudaType.BFloat16, 8, 2, 128, 128, 0.1f, true, 0, 0, false, false);
        var shape = new DecodeShape(4, 3, false);
        int[] lengths = [700, 64, 129];
        using var problem = new AttentionProblem(gpu, form, Array.ConvertAll(lengths, length => (1, length)), seed: 5);
        var capacity = DecodePlan.Capacity(lengths.Length, 1024, AttentionDecode.BlocksPerPiece(form), 3 * gpu.Cuda.Device.Multiprocessors);
        using var pieces = gpu.Send(new DecodePiece[capacity]);
        using var places = gpu.Send(new int[lengths.Length]);
        using var counters = gpu.Send(new byte[AttentionDecode.CounterBytes(form, lengths.Length)]);
        using var partials = gpu.Poisoned(AttentionDecode.PartialBytes(form, capacity) / 4, CudaType.Float32);
        var result = problem.Run(paged: true, operands =>
        {
            var decode = Operands(operands, form) with { Pieces = pieces.Pointer, Places = places.Pointer, Counters = counters.Pointer, Partials = partials.Pointer };
            AttentionDecode.Launch(gpu.Cuda, form, shape, capacity, decode);
            using var graph = gpu.Cuda.Stream.Capture(() => AttentionDecode.Launch(gpu.Cuda, form, shape, capacity, decode));
            foreach (var multiprocessors in new[] { 1, 132 })
            {
                var plan = AttentionDecode.Plan(form, shape, lengths, multiprocessors);
                Assert.InRange(plan.Pieces.Length, 1, capacity);
                gpu.Cuda.Stream.Upload<DecodePiece>(pieces.Pointer, [.. plan.Pieces, .. new DecodePiece[capacity - plan.Pieces.Length]]);
                gpu.Cuda.Stream.Upload<int>(places.Pointer, plan.Places);
                graph.Launch(gpu.Cuda.Stream);
            }

            gpu.Cuda.Synchronize();
        });
        Assert.InRange(Gpu.Error(problem.Expected, result), 0, Tolerance);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(500)]
    public void Plans_hold_every_key_once(int window)
    {
        for (var round = 0; round < 200; round++)
        {
            var keys = Gpu.Random(1 + round % 37, (ulong)round).Select(x => Math.Max(0, (int)(Math.Exp(x * 1.5) * 1500))).ToArray();
            var (blocks, slots) = (1 + round % 9, 50 * (1 + round % 8));
            var plan = DecodePlan.Make(keys, window, blocks, slots);
            Assert.InRange(plan.Pieces.Length, 0, DecodePlan.Capacity(keys.Length, keys.Max(), blocks, slots));
            Assert.Equal(plan.Pieces.OrderByDescending(piece => piece.Length), plan.Pieces);
            foreach (var group in plan.Pieces.GroupBy(piece => piece.Sequence))
            {
                var next = window > 0 ? Math.Max(0, keys[group.Key] - window) : 0;
                foreach (var (piece, index) in group.OrderBy(piece => piece.First).Select((piece, index) => (piece, index)))
                {
                    Assert.Equal((next, index | group.Count() << 16), (piece.First, piece.IndexAndCount));
                    Assert.True(piece.Length is > 0 and <= 32704 && (index == 0 || piece.First % 64 == 0));
                    next = piece.End;
                }

                Assert.Equal(keys[group.Key], next);
            }

            Assert.Equal(keys.Count(length => length > 0), plan.Pieces.Select(piece => piece.Sequence).Distinct().Count());
            var taken = plan.Pieces.Select(piece => plan.Places[piece.Sequence] + (piece.IndexAndCount & 0xffff)).ToArray();
            Assert.Equal(Enumerable.Range(0, taken.Length), taken.Order());
        }
    }

    private static void Check(Gpu gpu, AttentionProblem problem, AttentionForm form, DecodeShape shape, DecodePlan plan)
    {
        using var pieces = gpu.Send(plan.Pieces);
        using var places = gpu.Send(plan.Places);
        using var counters = gpu.Send(new byte[AttentionDecode.CounterBytes(form, plan.Places.Length)]);
        using var partials = gpu.Poisoned(AttentionDecode.PartialBytes(form, plan.Pieces.Length) / 4, CudaType.Float32);
        float[] Run() => problem.Run(paged: true, operands => AttentionDecode.Launch(
            gpu.Cuda, form, shape, plan.Pieces.Length,
            Operands(operands, form) with { Pieces = pieces.Pointer, Places = places.Pointer, Counters = counters.Pointer, Partials = partials.Pointer }));
        var (first, second) = (Run(), Run());
        var error = Gpu.Error(problem.Expected, first);
        Assert.True(error < Tolerance, $"{form}, {shape}, {plan.Pieces.Length} pieces: relative error {error:e2}");
        Assert.Equal(first, second);
        Assert.All(gpu.Read(counters, CudaType.Float32), value => Assert.Equal(0, value));
    }

    private static DecodeOperands Operands(AttentionOperands x, AttentionForm form) => new(
        x.Queries, x.Keys, x.Values, x.Output, 0, x.Table, x.TableStride, (long)form.KvHeads * 64 * form.HeadDim, 0, 0, 0, 0, x.Slopes, x.Sinks);
}
