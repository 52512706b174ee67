using System.Diagnostics;
using System.Globalization;
using MergeKit.Core.Checkpoints.Writing;
using MergeKit.Core.Merging.Execution;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Numerics;
using MergeKit.Core.Recipes;
using MergeKit.Inference.Runtime;
using SafetensorsFile = MergeKit.Core.Checkpoints.Writing.SafetensorsFile;

namespace MergeKit.Benchmarks;

/// <summary>Methods that decompose matrices: one matrix on the CPU by threads, on a GPU, and by torch.linalg.svd in the same run; then whole merges.</summary>
internal static class DecompositionBenchmark
{
    /// <summary>Arguments: ROWS COLUMNS, <c>tasks=K</c>, <c>threads=N[,N...]</c>, <c>no-cpu</c>, <c>merge</c>.</summary>
    public static int Run(string[] args)
    {
        var sides = args.Where(arg => int.TryParse(arg, out _)).Select(arg => int.Parse(arg, CultureInfo.InvariantCulture)).ToArray();
        var (rows, columns) = sides is [var r, var c] ? (Math.Min(r, c), Math.Max(r, c)) : (512, 2048);
        var tasks = int.Parse(Value(args, "tasks") ?? "3", CultureInfo.InvariantCulture);
        var threads = (Value(args, "threads") ?? Environment.ProcessorCount.ToString(CultureInfo.InvariantCulture)).Split(',').Select(text => int.Parse(text, CultureInfo.InvariantCulture)).ToArray();
        using var gpu = new ChosenDecomposer(DeviceChoice.Auto);
        using var cpu = new ChosenDecomposer(DeviceChoice.Cpu);
        var hasGpu = gpu.PrefersWhole;
        Say($"# {rows} x {columns}; {gpu.Name}{string.Concat(gpu.Notes.Select(note => $"; {note.Message}"))}");
        if (args.Contains("merge"))
        {
            Merges(rows, columns, tasks, threads[^1], args.Contains("no-cpu") ? [gpu] : hasGpu ? [gpu, cpu] : [cpu]);
            return 0;
        }

        if (!args.Contains("no-cpu"))
            foreach (var count in threads)
                One($"CPU, {count} threads", cpu, rows, columns, count);
        if (hasGpu)
        {
            One("GPU, first call", gpu, rows, columns, threads[^1]);
            One("GPU", gpu, rows, columns, threads[^1]);
            One("GPU, rank 1/2", gpu, rows, columns, threads[^1], rows / 2);
        }

        using var peer = TorchPeer.Start();
        foreach (var (device, type) in new[] { ("cuda", "float32"), ("cuda", "float64"), ("cpu", "float64") }.Where(_ => peer is not null))
            Say($"| torch.linalg.svd, {device}, {type} | {peer!.Ask($"svd {rows} {columns} {device} {type}") / 1000:f2} s | ({peer.Version})");
        return 0;
    }

    private static void One(string name, ChosenDecomposer decomposer, int rows, int columns, int threads, int? rank = null)
    {
        var matrix = Enumerable.Range(0, rows).Select(i => Normal(i % (rank ?? rows), columns)).ToArray();
        ParallelLoop loop = (count, body) => Parallel.For(0, count, new ParallelOptions { MaxDegreeOfParallelism = threads }, body);
        var (clock, busy) = (Stopwatch.StartNew(), Environment.CpuUsage.TotalTime);
        var found = decomposer.Decompose(matrix, loop);
        Say($"| {name} | {clock.Elapsed.TotalSeconds:f2} s | {(Environment.CpuUsage.TotalTime - busy).TotalSeconds / clock.Elapsed.TotalSeconds:f1} cores busy | {found.Values.Length} values | {decomposer.Cost(rows, columns, threads).Operations / clock.Elapsed.TotalSeconds / 1e9:f1} counted GFLOP/s");
    }

    private static void Merges(int rows, int columns, int tasks, int threads, ChosenDecomposer[] decomposers)
    {
        var folder = Directory.CreateTempSubdirectory("mergekit-decompositions-").FullName;
        try
        {
            for (var model = 0; model <= tasks; model++)
                Write(Path.Combine(folder, $"m{model}"), rows, columns, model);
            foreach (var method in new[] { "iso_c", "tsv_m" })
                foreach (var decomposer in decomposers)
                {
                    var yaml = $"merge_method: {method}\nbase_model: m0\ndtype: float32\nmodels:\n{string.Concat(Enumerable.Range(1, tasks).Select(i => $"- model: m{i}\n"))}";
                    using var plan = MergePlanner.Plan(RecipeReader.Parse(Path.Combine(folder, "r.yml"), yaml)[0], new PlanOptions { WorkingDirectory = folder, Raw = true, Threads = threads, Decomposer = decomposer });
                    var clock = Stopwatch.StartNew();
                    new MergeRunner(plan, new MergeProgress()).Run(Path.Combine(folder, "out"), ResumeMode.Never, _ => new Dictionary<string, string>(), default);
                    Say($"| {method}, {tasks} tasks | {clock.Elapsed.TotalSeconds:f2} s | {plan.Matrices!.Sentence}");
                    Directory.Delete(Path.Combine(folder, "out"), recursive: true);
                }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static void Write(string folder, int rows, int columns, int model)
    {
        Directory.CreateDirectory(folder);
        var values = new float[rows * columns];
        for (var i = 0; i < rows; i++)
            for (var (j, row) = (0, Normal(i + 1000003 * model, columns)); j < columns; j++)
                values[i * columns + j] = (float)row[j];
        var bytes = System.Runtime.InteropServices.MemoryMarshal.AsBytes<float>(values).ToArray();
        SafetensorsFile.Write(Path.Combine(folder, "model.safetensors"), [new Core.Checkpoints.Writing.MemoryTensor("weight", DType.F32, [rows, columns], bytes)]);
    }

    /// <summary>Sums of uniform numbers, near enough to normal ones.</summary>
    private static double[] Normal(int seed, int count)
    {
        var words = new uint[4 * count];
        new CounterRandom((ulong)seed, "matrix", 0).Fill(0, words);
        return [.. Enumerable.Range(0, count).Select(i => (words[4 * i] + (double)words[4 * i + 1] + words[4 * i + 2] + words[4 * i + 3]) / uint.MaxValue - 2)];
    }

    private static string? Value(string[] args, string name) =>
        args.FirstOrDefault(arg => arg.StartsWith(name + "=", StringComparison.Ordinal))?[(name.Length + 1)..];

    private static void Say(FormattableString text)
    {
        Console.WriteLine(text.ToString(CultureInfo.InvariantCulture));
        Console.Out.Flush();
    }
}
