using MergeKit.Inference.Backends.Cuda;
using MergeKit.Inference.Backends.Cuda.Kernels;

namespace MergeKit.Benchmarks;

/// <summary>The kernels of decoding, bound by memory: graphs of launches that rotate among weights or caches larger than the second-level cache.</summary>
internal sealed class GpuDecodeBenchmark(GpuTimer timer, TorchPeer? peer)
{
    private const int Rounds = 3;

    private CudaContext Cuda => timer.Cuda;

    private static (int Rows, int Outputs, int Inputs)[] Products =>
    [
        (1, 8192, 2048), (1, 28672, 4096), (1, 128256, 2048), (1, 4096, 14336), (1, 2048, 2048), (4, 28672, 4096),
        (8, 28672, 4096), (8, 8192, 2048), (8, 4096, 14336), (16, 28672, 4096), (16, 8192, 2048), (16, 4096, 14336),
        (1, 6144, 4096), (16, 6144, 4096), (1, 4096, 4096), (16, 2048, 8192),
    ];

    /// <summary>Products of 1 to 16 rows against torch.nn.functional.linear.</summary>
    public void Skinny()
    {
        Console.WriteLine("\n| rows | N x K | cuBLAS, GB/s (us) | ours | ratio | without overlap | parts of K |\n|---|---|---|---|---|---|---|");
        foreach (var (rows, outputs, inputs) in Products)
        {
            var bytes = 2L * outputs * inputs;
            var sets = (int)Math.Clamp((240L << 20) / bytes + 1, 2, 12);
            var launches = (int)Math.Max(2 * sets, Math.Min(24, (3L << 30) / bytes));
            var (x, y) = (timer.Take(2L * rows * inputs), timer.Take(2L * rows * outputs));
            var weights = Enumerable.Range(0, sets).Select(_ => timer.Take(bytes)).ToArray();
            var form = new SkinnyForm(rows, outputs, inputs, CudaType.BFloat16);
            var scratch = timer.Send(new byte[SkinnyProduct.ScratchBytes(form, Cuda.Device)]);
            Action[] With(bool overlap) => [.. weights.Select(w => (Action)(() => SkinnyProduct.Launch(Cuda, form, new SkinnyOperands(x, w, y, Scratch: scratch), overlap)))];
            var (torch, ours, alone) = (new List<double>(), new List<double>(), new List<double>());
            for (var round = 0; round < Rounds; round++)
            {
                torch.Add(peer?.Ask($"linear {rows} {outputs} {inputs} {sets} {launches}") ?? double.NaN);
                ours.Add(timer.TimeGraph(With(true), launches));
                alone.Add(timer.TimeGraph(With(false), launches));
            }

            var moved = bytes + 2L * rows * (outputs + inputs);
            var (t, o, a) = (GpuTimer.Median(torch), GpuTimer.Median(ours), GpuTimer.Median(alone));
            Console.WriteLine($"| {rows} | {outputs} x {inputs} | {moved / t / 1e6:f0} ({t * 1000:f1}) | {moved / o / 1e6:f0} ({o * 1000:f1}) | {t / o:f2} | {moved / a / 1e6:f0} | {SkinnyProduct.Choose(form, Cuda.Device).Splits} |");
            timer.Release();
        }
    }

    /// <summary>Paged attention of one token per sequence against cuDNN's over contiguous keys and values.</summary>
    public void Attention(bool all)
    {
        Console.WriteLine("\n| 32/8 heads, D=128 | cuDNN, GB/s (us) | ours, paged | ratio | others |\n|---|---|---|---|---|");
        foreach (var (batch, length) in new[] { (1, 32768), (1, 8192), (8, 8192), (32, 4096), (128, 2048) })
            Attention($"B{batch} {length}", [.. Enumerable.Repeat(length, batch)], $"decode {batch} 32 8 {length} 128", all);
        Attention("B64 ragged 1 to 8k", [.. Enumerable.Range(0, 64).Select(i => 1 + i * 7919 % 8192)], null, all);
    }

    private void Attention(string label, int[] lengths, string? question, bool all)
    {
        var form = new AttentionForm(CudaType.BFloat16, 32, 8, 128, 128, 0.088f, true, 0, 0, false, false);
        var (batch, keys) = (lengths.Length, lengths.Sum(length => (long)length));
        var bytes = keys * 8 * 128 * 4;
        var (sets, launches) = bytes < 160e6 ? (4, 8) : (1, 4);
        var stride = lengths.Max(length => (length + 63) / 64);
        var pages = lengths.Sum(length => (length + 63) / 64);
        var (table, next) = (new int[batch * stride], 0);
        for (var i = 0; i < batch; i++)
            for (var page = 0; page < (lengths[i] + 63) / 64; page++)
                table[i * stride + page] = (int)(next++ * 7919L % pages);
        var caches = Enumerable.Range(0, sets).Select(_ => (Keys: timer.Take(pages * 64L * 8 * 128 * 2), Values: timer.Take(pages * 64L * 8 * 128 * 2))).ToArray();
        var operands = new DecodeOperands(
            timer.Take(batch * 32 * 128 * 2), 0, 0, timer.Take(batch * 32 * 128 * 2), 0, timer.Send(table), stride, 8 * 64 * 128, 0, 0,
            timer.Send(new byte[AttentionDecode.CounterBytes(form, batch)]), 0, 0, 0);
        Action[] Works(DecodeShape shape, DecodePlan plan)
        {
            var x = operands with { Pieces = timer.Send(plan.Pieces), Places = timer.Send(plan.Places), Partials = timer.Take(AttentionDecode.PartialBytes(form, plan.Pieces.Length)) };
            return [.. caches.Select(cache => (Action)(() => AttentionDecode.Launch(Cuda, form, shape, plan.Pieces.Length, x with { Keys = cache.Keys, Values = cache.Values })))];
        }

        var multiprocessors = Cuda.Device.Multiprocessors;
        var chosen = AttentionDecode.Choose(form, keys, multiprocessors);
        var candidates = new List<(string Name, Action[] Works)> { ("chosen", Works(chosen, AttentionDecode.Plan(form, chosen, lengths, multiprocessors))) };
        if (all)
            foreach (var shape in new[] { new DecodeShape(8, 1, true), new(4, 3, false), new(4, 2, true), new(4, 2, false), new(4, 3, true) })
                candidates.Add(($"{shape.Warps} x {shape.Blocks}{(shape.Overlap ? " overlapped" : "")}", Works(shape, AttentionDecode.Plan(form, shape, lengths, multiprocessors))));
        var torch = new List<double>();
        var times = candidates.ToDictionary(candidate => candidate.Name, _ => new List<double>());
        for (var round = 0; round < Rounds; round++)
        {
            if (question is not null && peer is not null)
                torch.Add(peer.Ask($"{question} {sets} {launches}"));
            foreach (var (name, works) in candidates)
                times[name].Add(timer.TimeGraph(works, launches));
        }

        var (t, o) = (torch.Count > 0 ? GpuTimer.Median(torch) : double.NaN, GpuTimer.Median(times["chosen"]));
        var others = string.Join(", ", times.Where(pair => pair.Key != "chosen").Select(pair => (pair.Key, Time: GpuTimer.Median(pair.Value))).OrderBy(pair => pair.Time).Select(pair => $"{pair.Key}: {bytes / pair.Time / 1e6:f0}"));
        Console.WriteLine($"| {label} | {bytes / t / 1e6:f0} ({t * 1000:f1}) | {bytes / o / 1e6:f0} ({o * 1000:f1}) | {t / o:f2} | {others} |");
        timer.Release();
    }
}
