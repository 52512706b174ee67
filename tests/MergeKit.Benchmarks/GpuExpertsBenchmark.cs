using MergeKit.Core.Architectures;
using MergeKit.Inference.Backends;
using MergeKit.Inference.Backends.Cuda;
using MergeKit.Inference.Backends.Cuda.Kernels;

namespace MergeKit.Benchmarks;

/// <summary>The parts of a mixture of experts: 8 of 128, width 2048, 768 between an expert's matrices (Qwen3-30B-A3B).</summary>
internal sealed class GpuExpertsBenchmark(GpuTimer timer)
{
    private const int Experts = 128, TopK = 8, Width = 2048, Inner = 768;

    private static readonly RoutingSpec Rule = new() { Experts = Experts, TopK = TopK, Scoring = RouterScoring.Softmax, Normalise = true };

    private CudaContext Cuda => timer.Cuda;

    /// <summary>A line per number of tokens.</summary>
    public void Run()
    {
        Console.WriteLine("\n| 8 of 128 experts, tokens | route, us | place | permute | gate and up | down | un-permute | share of what is no product | products |\n|---|---|---|---|---|---|---|---|---|");
        foreach (var tokens in new[] { 1, 4, 16, 2048, 16384 })
            Layer(tokens);
    }

    private void Layer(int tokens)
    {
        var entries = tokens * TopK;
        var logits = new float[tokens * Experts];
        for (var i = 0; i < logits.Length; i++)
            logits[i] = (uint)i * 2654435761u % 1000003 / 250000f;
        var x = new RoutingOperands(timer.Take(4L * entries), timer.Take(4L * entries), timer.Take(4L * Experts), timer.Take(4L * entries), timer.Take(Routing.ScratchBytes(Rule, tokens)));
        var (sent, hidden, permuted) = (timer.Send(logits), timer.Take(2L * tokens * Width), timer.Take(2L * entries * Width));
        var (first, inner, second) = (timer.Take(2L * Experts * 2 * Inner * Width), timer.Take(2L * entries * Inner), timer.Take(2L * Experts * Inner * Width));
        var (down, output) = (timer.Take(2L * entries * Width), timer.Take(4L * tokens * Width));
        var few = tokens <= SkinnyProduct.MostRows;
        void GateUp()
        {
            if (few)
                SkinnyProduct.LaunchExperts(Cuda, new SkinnyForm(tokens, 2 * Inner, Width, CudaType.BFloat16, GateKind.Interleaved), new SkinnyOperands(permuted, first, inner), x.Ends, Experts);
            else
                GroupedProduct.Launch(Cuda, new GroupedForm(2 * Inner, Width, Experts, Gated: true), null, entries, new GroupedOperands(permuted, first, inner, x.Ends));
        }

        void Down()
        {
            if (few)
                SkinnyProduct.LaunchExperts(Cuda, new SkinnyForm(tokens, Width, Inner, CudaType.BFloat16), new SkinnyOperands(inner, second, down), x.Ends, Experts);
            else
                GroupedProduct.Launch(Cuda, new GroupedForm(Width, Inner, Experts), null, entries, new GroupedOperands(inner, second, down, x.Ends));
        }

        Action[] steps =
        [
            () => Routing.Route(Cuda, Rule, tokens, sent, 0, x), () => Routing.Place(Cuda, Rule, tokens, x),
            () => Routing.Permute(Cuda, Rule, tokens, Width, hidden, x.Rows, permuted, CudaType.BFloat16), GateUp, Down,
            () => Routing.Unpermute(Cuda, Rule, tokens, Width, down, CudaType.BFloat16, x, output, CudaType.Float32, accumulate: true),
        ];
        var times = Array.ConvertAll(steps, step => 1000 * timer.Time(step));
        var (products, rest) = (times[3] + times[4], times[0] + times[1] + times[2] + times[5]);
        var touched = Math.Min(Experts, tokens <= 1 ? TopK : Experts * (1 - Math.Pow(1 - (double)TopK / Experts, tokens)));
        var speed = few ? $"about {touched * 6 * Inner * Width / products / 1e3:f0} GB/s" : $"{6.0 * entries * Inner * Width / products / 1e6:f0} TFLOP/s";
        Console.WriteLine($"| {tokens} | {string.Join(" | ", times.Select(time => $"{time:f1}"))} | {rest / (rest + products):p1} | {speed} |");
        timer.Release();
    }
}
