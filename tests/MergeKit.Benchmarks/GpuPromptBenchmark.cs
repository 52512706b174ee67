using MergeKit.Inference.Backends.Cuda;
using MergeKit.Inference.Backends.Cuda.Kernels;

namespace MergeKit.Benchmarks;

/// <summary>The kernels of prompts, bound by arithmetic, in turns with PyTorch's.</summary>
internal sealed class GpuPromptBenchmark(GpuTimer timer, TorchPeer? peer)
{
    private const int Rounds = 3;

    private CudaContext Cuda => timer.Cuda;

    /// <summary>Batch, length, heads, kv heads, head size.</summary>
    private static (int Batch, int Length, int Heads, int KvHeads, int HeadDim)[] Shapes =>
    [
        (4, 4096, 32, 8, 128), (1, 16384, 32, 8, 128), (16, 1024, 32, 8, 128), (32, 512, 32, 8, 128), (64, 256, 32, 8, 128), (128, 128, 32, 8, 128), (4, 4096, 16, 16, 128), (1, 16384, 16, 16, 128),
        (4, 4096, 32, 32, 64), (1, 16384, 32, 32, 64), (16, 1024, 32, 32, 64), (64, 256, 32, 32, 64),
    ];

    /// <summary>Rows of experts of the prototype's table: experts, mean rows, K, N, spread.</summary>
    private static (int Experts, int Rows, int Inputs, int Outputs, double Spread)[] Experts =>
    [
        (16, 512, 5120, 8192, 0), (8, 2048, 4096, 14336, 0), (128, 512, 2048, 1536, 0), (128, 64, 2048, 1536, 0), (128, 512, 2048, 1536, 0.7), (128, 128, 2048, 1536, 0.7),
    ];

    /// <summary>Attention against cuDNN's SDPA.</summary>
    public void Attention(bool all)
    {
        Console.WriteLine("\n| attention | cuDNN, TFLOP/s | ours | ratio | tile | others |\n|---|---|---|---|---|---|");
        foreach (var (batch, length, heads, kvHeads, headDim) in Shapes)
            foreach (var causal in new[] { true, false })
                Attention($"B{batch} S{length}", [.. Enumerable.Repeat(length, batch)], heads, kvHeads, headDim, causal, $"attention {batch} {heads} {kvHeads} {length} {headDim} {(causal ? 1 : 0)}", all);
        int[] ragged = [3000, 65, 517, 2048, 90, 4000, 333, 1200, 64, 700, 2500, 1931];
        foreach (var causal in new[] { true, false })
            Attention("ragged 64 to 4000", ragged, 32, 8, 128, causal, $"ragged 32 8 128 {(causal ? 1 : 0)} {string.Join(',', ragged)}", all);
    }

    private void Attention(string label, int[] lengths, int heads, int kvHeads, int headDim, bool causal, string question, bool all)
    {
        var form = new AttentionForm(CudaType.BFloat16, heads, kvHeads, headDim, headDim, 1 / MathF.Sqrt(headDim), causal, 0, 0, false, false);
        var (tokens, start) = (lengths.Sum(), 0);
        var spans = Array.ConvertAll(lengths, length => new DeviceSequence(start, length, (start += length) - length, length));
        var (q, k, v, o) = (timer.Take(2L * tokens * heads * headDim), timer.Take(2L * tokens * kvHeads * headDim), timer.Take(2L * tokens * kvHeads * headDim), timer.Take(2L * tokens * heads * headDim));
        var operands = new AttentionOperands(q, k, v, o, 0, timer.Send(spans), 0, 0, 0, 0, 0, 0);
        var flops = lengths.Sum(length => 4.0 * heads * length * length * headDim) * (causal ? 0.5 : 1);
        var chosen = AttentionHopper.Choose(headDim, causal, lengths.Max());
        HopperTile[] tried = headDim == 128
            ? [new(128, 128, 2, 2), lengths.Max() > 1024 ? new(192, 80, 2, 2) : new(128, 128, 2, 3)]
            : lengths.Max() > 1024 ? [new(192, 128, 2, 2)] : [new(192, 128, 2, 2), new(128, 128, 4, 4), new(128, 128, 2, 2)];
        Action Work(HopperTile shape, long? together)
        {
            var tiles = AttentionHopper.Tiles(spans, form, shape.Rows, together);
            var (list, counter) = (timer.Send(tiles), timer.Send(new int[2]));
            return () => AttentionHopper.Launch(Cuda, form, shape, tokens, tokens, tiles.Length, counter, operands with { Tiles = list });
        }

        var candidates = (all ? tried.Append(chosen).Distinct().ToArray() : [chosen]).ToDictionary(shape => Name(shape), shape => Work(shape, null));
        if (all)
            foreach (var together in new[] { 4, 16, 32 })
                candidates[$"{Name(chosen)}, {together} MB"] = Work(chosen, (long)together << 20);
        var (t, times) = Turns(question, candidates);
        var others = string.Join(", ", times.Where(pair => pair.Key != Name(chosen)).Select(pair => $"{pair.Key}: {flops / pair.Value / 1e9:f0}"));
        Console.WriteLine($"| D={headDim} {(causal ? "causal" : "full")} {label} {heads}/{kvHeads} | {flops / t / 1e9:f0} | {flops / times[Name(chosen)] / 1e9:f0} | {t / times[Name(chosen)]:f2} | {Name(chosen)} | {others} |");
        timer.Release();
    }

    private static string Name(HopperTile tile) => $"{tile.Rows}x{tile.Keys}{(tile.Depth > 2 ? $", {tile.Depth} ahead" : "")}{(tile.Blocks > 1 ? $", {tile.Blocks} blocks" : "")}";

    /// <summary>Products by expert against torch._grouped_mm.</summary>
    public void Grouped(bool all)
    {
        Console.WriteLine("\n| experts x rows, K, N | torch._grouped_mm, TFLOP/s | ours | ratio | with the gate | tile | others |\n|---|---|---|---|---|---|---|");
        foreach (var (experts, mean, inputs, outputs, spread) in Experts)
        {
            var rows = Spread(experts, mean, spread);
            var ends = rows.Select((_, i) => rows[..(i + 1)].Sum()).ToArray();
            var total = ends[^1];
            var (plain, gated) = (new GroupedForm(outputs, inputs, experts), new GroupedForm(outputs, inputs, experts, Gated: true));
            var x = new GroupedOperands(timer.Take(2L * total * inputs), timer.Take(2L * experts * outputs * inputs), timer.Take(2L * total * outputs), timer.Send(ends));
            var chosen = GroupedProduct.Choose(total, experts);
            var candidates = new Dictionary<string, Action>
            {
                ["chosen"] = () => GroupedProduct.Launch(Cuda, plain, null, total, x),
                ["gated"] = () => GroupedProduct.Launch(Cuda, gated, null, total, x),
            };
            if (all)
                foreach (var tile in new[] { new GroupedTile(128, 2, 8, 2), new(128, 1, 16, 0) })
                {
                    candidates[$"{tile.Rows}c{tile.Cluster}l{tile.Lag}"] = () => GroupedProduct.Launch(Cuda, plain, tile, total, x);
                    candidates[$"{tile.Rows}c{tile.Cluster}l{tile.Lag}, gate"] = () => GroupedProduct.Launch(Cuda, gated, tile, total, x);
                }

            var (t, times) = Turns($"grouped {outputs} {inputs} {string.Join(',', rows)}", candidates);
            string Rate(double time) => $"{2.0 * total * inputs * outputs / time / 1e9:f0}";
            var others = string.Join(", ", times.Where(pair => pair.Key is not ("chosen" or "gated")).Select(pair => $"{pair.Key}: {Rate(pair.Value)}"));
            Console.WriteLine($"| {experts} x {mean}{(spread > 0 ? " uneven" : "")}, {inputs}, {outputs} | {Rate(t)} | {Rate(times["chosen"])} | {t / times["chosen"]:f2} | {Rate(times["gated"])} | {chosen.Rows}x256, cluster {chosen.Cluster} | {others} |");
            timer.Release();
        }
    }

    /// <summary>Log-probabilities over a vocabulary of 128k against the bare product.</summary>
    public void Head()
    {
        Console.WriteLine("\n| log-probabilities, rows x K, 128256 columns | bare product (torch), TFLOP/s | ours | ratio | extra MB |\n|---|---|---|---|---|");
        const int Vocabulary = 128256;
        foreach (var (rows, inputs) in new[] { (2048, 2048), (4096, 2048), (4096, 4096), (8192, 4096) })
        {
            var operands = new ScoreOperands(
                timer.Take(2L * rows * inputs), timer.Take(2L * Vocabulary * inputs), 0, timer.Send(Enumerable.Range(0, rows).Select(i => i * 7919 % Vocabulary).ToArray()),
                timer.Take(GroupedProduct.PartialBytes(rows, Vocabulary)), timer.Take(4L * rows));
            var states = timer.Take(16L * rows);
            var (t, times) = Turns($"product {rows} {Vocabulary} {inputs}", new Dictionary<string, Action>
            {
                ["ours"] = () =>
                {
                    GroupedProduct.LaunchScores(Cuda, rows, Vocabulary, inputs, 0.02f, 0, operands);
                    ScoreHead.Merge(Cuda, rows, Vocabulary, operands, states);
                },
            });
            var flops = 2.0 * rows * inputs * Vocabulary;
            Console.WriteLine($"| {rows} x {inputs} | {flops / t / 1e9:f0} | {flops / times["ours"] / 1e9:f0} | {t / times["ours"]:f2} | {(GroupedProduct.PartialBytes(rows, Vocabulary) + 20L * rows) / 1e6:f0} |");
            timer.Release();
        }
    }

    /// <summary>The peer and the candidates in turns; medians over the rounds.</summary>
    private (double Peer, Dictionary<TKey, double> Ours) Turns<TKey>(string question, Dictionary<TKey, Action> candidates) where TKey : notnull
    {
        var torch = new List<double>();
        var times = candidates.ToDictionary(candidate => candidate.Key, _ => new List<double>());
        for (var round = 0; round < Rounds; round++)
        {
            // Nobody always comes after the same neighbour.
            var order = candidates.Skip(round % candidates.Count).Concat(candidates.Take(round % candidates.Count)).ToArray();
            foreach (var (name, work) in order[..(order.Length / 2)])
                times[name].Add(timer.Time(work));
            torch.Add(peer?.Ask(question) ?? double.NaN);
            foreach (var (name, work) in order[(order.Length / 2)..])
                times[name].Add(timer.Time(work));
        }

        return (GpuTimer.Median(torch), times.ToDictionary(pair => pair.Key, pair => GpuTimer.Median(pair.Value)));
    }

    /// <summary>Log-normal rows of a mean.</summary>
    private static int[] Spread(int experts, int mean, double sigma)
    {
        var weights = Enumerable.Range(0, experts).Select(i => Math.Exp(sigma * Math.Sqrt(-2 * Math.Log((i + 0.5) / experts)) * Math.Cos(2 * Math.PI * (i * 0.6180339887 % 1)))).ToArray();
        return [.. weights.Select(weight => (int)Math.Round(weight * experts * mean / weights.Sum()))];
    }
}
