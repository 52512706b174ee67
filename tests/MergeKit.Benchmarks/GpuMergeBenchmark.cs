using System.Diagnostics;
using System.Globalization;
using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Models;
using MergeKit.Core.Numerics;
using MergeKit.Core.Recipes;
using MergeKit.Inference.Backends.Cuda;
using MergeKit.Inference.Backends.Cuda.Kernels;
using MergeKit.Inference.Backends.Cuda.Merging;
using MergeKit.Inference.Runtime;

namespace MergeKit.Benchmarks;

/// <summary>Candidates of a 1B shape with three resident parents: time of a merge against that of copying its bytes, and merge and scoring a minute.</summary>
internal static class GpuMergeBenchmark
{
    private const int Documents = 32, Length = 2048, Runs = 15, WarmUp = 20, CopiesAhead = 6;
    private static readonly (string Method, string Models, int Least)[] Methods =
    [
        ("linear", "weight: 0.4", 0), ("task_arithmetic", "weight: 0.4", 1), ("slerp", "", 1), ("ties", "weight: 0.4, density: 0.5", 1), ("dare_linear", "weight: 0.4, density: 0.5", 1),
        ("dare_ties", "weight: 0.4, density: 0.5", 1), ("breadcrumbs", "weight: 0.4, density: 0.5, gamma: 0.01", 1), ("breadcrumbs_ties", "weight: 0.4, density: 0.5, gamma: 0.01", 1),
        ("della", "weight: 0.4, density: 0.5, epsilon: 0.2", 1), ("della_linear", "weight: 0.4, density: 0.5, epsilon: 0.2", 1),
    ];

    /// <summary>Arguments: a folder for three checkpoints of 2.5 GB, <c>yardstick</c> for PyTorch's ties beside ours, <c>merge</c> for no scoring.</summary>
    public static int Run(string[] args)
    {
        var (usable, reasons) = CudaDevice.Discover();
        if (usable.Count == 0)
        {
            Console.Error.WriteLine("not run: " + string.Join("; ", reasons));
            return 3;
        }

        var scratch = Path.Combine(args.FirstOrDefault(Directory.Exists) ?? Path.GetTempPath(), "mergekit-gpu-merge");
        try
        {
            var clock = Stopwatch.StartNew();
            var bytes = ParentModels.Write(scratch, ParentModels.Llama1B, 3);
            Say($"three parents of {bytes / 1e9:f2} GB written in {clock.Elapsed.TotalSeconds:f1} s");
            using var opened = Plan(scratch, Methods[0]);
            Merges(scratch, opened, usable[0].Index, bytes);
            if (args.Contains("yardstick"))
                Torch(bytes / 2);
            if (!args.Contains("merge"))
                Candidates(scratch, opened, usable[0].Index);
        }
        finally
        {
            Directory.Delete(scratch, recursive: true);
        }

        return 0;
    }

    private static string Recipe((string Method, string Models, int Least) method, double scale) => string.Create(CultureInfo.InvariantCulture, $$"""
        merge_method: {{method.Method}}
        {{(method.Least > 0 ? "base_model: parent-0" : "")}}
        models:
        {{string.Join('\n', Enumerable.Range(method.Least, (method.Method == "slerp" ? 2 : 3) - method.Least).Select(i => $"- {{model: parent-{i}, parameters: {{{method.Models}}}}}"))}}
        {{(method.Method == "slerp" ? "- {model: parent-0}" : "")}}
        parameters: { {{(method.Method == "slerp" ? $"t: {0.4 * scale}" : method.Least > 0 ? $"lambda: {scale}" : "")}} }
        """);

    private static Recipe Parse(string folder, (string, string, int) method, double scale = 1) => RecipeReader.Parse(Path.Combine(folder, "bench.yml"), Recipe(method, scale))[0];

    private static MergePlan Plan(string folder, (string, string, int) method)
    {
        var plan = MergePlanner.Plan(Parse(folder, method), new PlanOptions { WorkingDirectory = folder });
        return plan.IsExecutable ? plan : throw new InvalidOperationException(string.Join('\n', plan.Problems));
    }

    /// <summary>Straight into device memory of the tensors' size, all of it; vectors are merged on the host meanwhile.</summary>
    private static void Merges(string folder, MergePlan opened, int device, long bytes)
    {
        using var cuda = new CudaContext(device);
        using var memory = new MemoryMerge(opened);
        using var target = cuda.Memory.Allocate(bytes + (1 << 20), "candidate");
        using var source = cuda.Memory.Allocate(bytes, "copied");
        var copy = CopyTime(cuda, target.Pointer, source.Pointer, bytes);
        Say($"# {cuda.Device.Name}, driver for CUDA {cuda.Device.DriverVersion / 1000}.{cuda.Device.DriverVersion % 1000 / 10}, NVRTC {cuda.Compiler.Version}");
        Say($"copy of {bytes / 1e9:f2} GB on the device: {copy:f3} ms, {2 * bytes / copy / 1e6:f0} GB/s read and written");
        var (landings, at) = (new WeightLandings(), target.Pointer);
        foreach (var tensor in memory.Tensors.Where(tensor => tensor.Shape.Count > 1))
        {
            landings.Add(new WeightTensor(tensor.Data, tensor.Type, tensor.Shape), false, at, false);
            at += (nint)(tensor.Shape.Aggregate(2L, (product, extent) => product * extent) + 255) / 256 * 256;
        }

        using var merge = new DeviceMerge(cuda, CudaType.BFloat16, memory, landings);
        var clock = Stopwatch.StartNew();
        merge.Fill(opened);
        Say($"parents sent and first candidate in {clock.Elapsed.TotalSeconds:f2} s (kernels compiled or read from the cache)");
        Say($"\n| method | ms, whole candidate | ms, kernels | reads + write, GB | x the time of copying these bytes | kernels alone |\n|---|---|---|---|---|---|");
        foreach (var method in Methods)
        {
            using var plan = MergePlanner.Replan(opened, Parse(folder, method));
            var (whole, kernels) = Time(cuda, merge, plan, (target.Pointer, source.Pointer, bytes));
            var moved = (plan.Jobs.Max(job => job.Sources.Count) + 1) * bytes;
            var ideal = copy * moved / (2.0 * bytes);
            Say($"| {method.Method} | {whole:f2} | {kernels:f2} | {moved / 1e9:f1} | {whole / ideal:f2} | {kernels / ideal:f2} |{(merge.Refusals.Count > 0 ? " " + string.Join("; ", merge.Refusals.Keys) : "")}");
        }
    }

    /// <summary>Milliseconds of a whole candidate, host's part included, and of the device's work alone, queued while the device still copies.</summary>
    private static (double Whole, double Kernels) Time(CudaContext cuda, DeviceMerge merge, MergePlan plan, (nint Target, nint Source, long Bytes) copied)
    {
        using var start = new CudaEvent();
        using var end = new CudaEvent();
        var (wholes, kernels) = (new List<double>(), new List<double>());
        for (var run = 0; run < Runs + WarmUp; run++)
        {
            cuda.Synchronize();
            var clock = Stopwatch.StartNew();
            merge.Fill(plan);
            wholes.Add(clock.Elapsed.TotalMilliseconds);
            for (var i = 0; i < CopiesAhead; i++)
                cuda.Stream.Copy(copied.Target, copied.Source, copied.Bytes);
            start.Record(cuda.Stream);
            merge.Fill(plan, () => end.Record(cuda.Stream));
            kernels.Add(end.MillisecondsSince(start));
        }

        return (GpuTimer.Median(wholes.Skip(WarmUp)), GpuTimer.Median(kernels.Skip(WarmUp)));
    }

    private static double CopyTime(CudaContext cuda, nint target, nint source, long bytes)
    {
        using var start = new CudaEvent();
        using var end = new CudaEvent();
        var times = new List<double>();
        for (var run = 0; run < Runs + 3; run++)
        {
            start.Record(cuda.Stream);
            cuda.Stream.Copy(target, source, bytes);
            end.Record(cuda.Stream);
            times.Add(end.MillisecondsSince(start));
        }

        return GpuTimer.Median(times.Skip(3));
    }

    private static void Torch(long elements)
    {
        using var peer = TorchPeer.Start();
        if (peer is null)
            return;
        var time = peer.Ask($"ties {elements / 4}");
        Say($"\n{peer.Version}: ties of a quarter of the shape with kthvalue, two task vectors: {time:f0} ms");
    }

    /// <summary>Merge and scoring of 64k tokens, each candidate planned from its recipe's text.</summary>
    private static void Candidates(string folder, MergePlan opened, int device)
    {
        var clock = Stopwatch.StartNew();
        using var model = MergedModel.Open("candidate", opened, DeviceChoice.OnCuda(device));
        Say($"\nmodel with resident parents opened in {clock.Elapsed.TotalSeconds:f2} s");
        var words = new uint[Documents * Length];
        new CounterRandom(3, "ids", 0).Fill(0, words);
        var ids = Array.ConvertAll(words, word => (int)(word % (uint)model.Model.VocabularySize));
        var requests = Enumerable.Range(0, Documents).Select(i => new ScoreRequest(ids.AsMemory(i * Length, 1), ids.AsMemory(i * Length + 1, Length - 1))).ToList();
        model.Model.Score(requests);
        Say($"\n| method | candidates a minute, {Documents} x {Length} tokens | merge with planning, ms | scoring, ms |\n|---|---|---|---|");
        foreach (var method in Methods)
        {
            var (merges, scores) = (new List<double>(), new List<double>());
            for (var run = 0; run < 5; run++)
            {
                clock.Restart();
                using var plan = MergePlanner.Replan(opened, Parse(folder, method, 1 - run * 0.1));
                model.Rebuild(plan);
                merges.Add(clock.Elapsed.TotalMilliseconds);
                clock.Restart();
                model.Model.Score(requests);
                scores.Add(clock.Elapsed.TotalMilliseconds);
            }

            var (merge, score) = (GpuTimer.Median(merges.Skip(1)), GpuTimer.Median(scores.Skip(1)));
            Say($"| {method.Method} | {60000 / (merge + score):f0} | {merge:f1} | {score:f1} |");
        }
    }

    private static void Say(FormattableString text)
    {
        Console.WriteLine(text.ToString(CultureInfo.InvariantCulture));
        Console.Out.Flush();
    }
}
