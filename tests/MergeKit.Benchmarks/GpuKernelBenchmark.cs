using MergeKit.Core.Architectures;
using MergeKit.Core.Models;
using MergeKit.Inference.Backends;
using MergeKit.Inference.Backends.Cuda;
using MergeKit.Inference.Backends.Cuda.Kernels;

namespace MergeKit.Benchmarks;

/// <summary>Times GPU kernels in turn with PyTorch's in a child process, as Markdown tables.</summary>
internal sealed class GpuKernelBenchmark(GpuTimer timer, TorchPeer? peer)
{
    private static readonly string[] Parts = ["glue", "combine", "skinny", "decode", "attention", "grouped", "experts", "head"];

    private CudaContext Cuda => timer.Cuda;

    /// <summary>Prints one line per kernel and shape. Arguments name parts; "all" adds the variants that are not chosen.</summary>
    public static int Run(string[] args)
    {
        var (usable, reasons) = CudaDevice.Discover();
        if (usable.Count == 0)
        {
            Console.Error.WriteLine("not run: " + string.Join("; ", reasons));
            return 3;
        }

        using var cuda = new CudaContext(usable[0].Index);
        if (args.Contains("compile"))
            return Compile(cuda);
        using var timer = new GpuTimer(cuda);
        using var peer = args.Contains("alone") ? null : TorchPeer.Start();
        Console.WriteLine($"# {cuda.Device.Name}, driver for CUDA {cuda.Device.DriverVersion / 1000}.{cuda.Device.DriverVersion % 1000 / 10}, NVRTC {cuda.Compiler.Version}, cuBLASLt {DenseProduct.Version}");
        Console.WriteLine($"peer: {peer?.Version ?? "none"}");
        var (benchmark, named) = (new GpuKernelBenchmark(timer, peer), Parts.Intersect(args).ToArray());
        foreach (var part in named.Length > 0 ? named : Parts)
            benchmark.Run(part, args.Contains("all"));
        return 0;
    }

    private void Run(string part, bool all)
    {
        var decoding = new GpuDecodeBenchmark(timer, peer);
        var prompts = new GpuPromptBenchmark(timer, peer);
        switch (part)
        {
            case "glue":
                Glue();
                break;
            case "combine":
                Combine();
                break;
            case "skinny":
                decoding.Skinny();
                break;
            case "decode":
                decoding.Attention(all);
                break;
            case "attention":
                prompts.Attention(all);
                break;
            case "grouped":
                prompts.Grouped(all);
                break;
            case "experts":
                new GpuExpertsBenchmark(timer).Run();
                break;
            default:
                prompts.Head();
                break;
        }
    }

    /// <summary>Compiles every variant on all processors; prints what the tests would complain of.</summary>
    private static int Compile(CudaContext cuda)
    {
        var specs = KernelCatalog.All().DistinctBy(spec => spec.Key).Where(spec => cuda.Device.IsHopper || !spec.NeedsHopper).ToArray();
        var lines = new string[specs.Length];
        Parallel.For(0, specs.Length, i =>
        {
            var log = CompilationLog.Parse(cuda.Compiler.Compile(specs[i], cuda.Device.Architecture).Log);
            var spilled = specs[i].AllowSpills ? 0 : log.SpillStoreBytes + log.SpillLoadBytes;
            lines[i] = log.Remarks.Count > 0 || spilled > 0 ? $"{specs[i].Key}: {spilled} bytes spilled; {string.Join("; ", log.Remarks)}" : "";
        });
        foreach (var line in lines.Where(line => line.Length > 0))
            Console.WriteLine(line);
        Console.WriteLine($"{specs.Length} variants compiled for {cuda.Device.Architecture} by NVRTC {cuda.Compiler.Version}, {lines.Count(line => line.Length > 0)} with remarks");
        return 0;
    }

    private void Glue()
    {
        const long Bytes = 2L << 30;
        var (a, b) = (timer.Take(Bytes), timer.Take(Bytes));
        var time = timer.Time(() => Cuda.Stream.Copy(b, a, Bytes));
        Console.WriteLine($"\n| pass | tokens | us | GB/s | of a large copy | of a copy of as many bytes |\n|---|---|---|---|---|---|\n| copy of 2 GiB | | {time * 1000:f1} | {2 * Bytes / time / 1e6:f0} | | |");
        var copy = 2 * Bytes / time / 1e6;
        timer.Release();
        const int Width = 4096, Intermediate = 14336;
        foreach (var rows in new[] { 2048, 8192 })
        {
            var (residual, delta, output, weight) = (timer.Take(rows * Width * 4L), timer.Take(rows * Width * 4L), timer.Take(rows * Width * 2L), timer.Take(Width * 4L));
            var spec = new NormSpec("norm", NormKind.Rms, Width, 1e-5);
            Bandwidth("RMSNorm, float32 residual to bf16", rows, rows * Width * 6L, copy, () => Norm.Launch(Cuda, spec, weight, 0, rows, Width, residual, 0, output, CudaType.BFloat16));
            Bandwidth("add + RMSNorm", rows, rows * Width * 14L, copy, () => Norm.Launch(Cuda, spec, weight, 0, rows, Width, residual, delta, output, CudaType.BFloat16));
            var (wide, inner) = (timer.Take(rows * 2L * Intermediate * 2), timer.Take(rows * (long)Intermediate * 2));
            Bandwidth("SwiGLU", rows, rows * 6L * Intermediate, copy, () => Elementwise.Gate(Cuda, Activation.Silu, GateKind.Halves, null, wide, 0, inner, rows, Intermediate, CudaType.BFloat16));
            QkvPass(rows, copy);
            timer.Release();
        }
    }

    /// <summary>The combiner of ensembles; its bytes are those of all members' logits and of the law, each once.</summary>
    private void Combine()
    {
        const long Bytes = 2L << 30;
        var (a, b) = (timer.Take(Bytes), timer.Take(Bytes));
        var copy = 2 * Bytes / timer.Time(() => Cuda.Stream.Copy(b, a, Bytes)) / 1e6;
        timer.Release();
        Console.WriteLine("\n| combiner of 128,256 ids | rows | us | GB/s | of a large copy | of a copy of as many bytes |\n|---|---|---|---|---|---|");
        const int Width = 128256;
        foreach (var members in new[] { 2, 3 })
            foreach (var rows in new[] { 1, 32, 1024 })
            {
                var logits = Enumerable.Range(0, members).Select(_ => timer.Take(4L * rows * Width)).ToArray();
                var output = timer.Take(4L * rows * Width);
                var weights = timer.Send(Enumerable.Repeat(-1.1f, rows * members).ToArray());
                foreach (var rule in Enum.GetValues<LawRule>())
                    Bandwidth($"{rule} of {members}", rows, 4L * rows * Width * (members + 1), copy, () => CombineRows.Launch(Cuda, rule, logits, weights, output, rows, Width));
                timer.Release();
            }
    }

    private void QkvPass(int rows, double copy)
    {
        const int Heads = 32, KvHeads = 8, Dim = 128, All = (Heads + 2 * KvHeads) * Dim;
        var spec = new AttentionSpec
        {
            Heads = Heads,
            KvHeads = KvHeads,
            HeadDim = Dim,
            ValueDim = Dim,
            Scale = 1,
            Output = new LinearSpec("o", default, 1, 1),
            Rope = new RopeSpec { Dim = Dim, Theta = 1e4 },
        };
        var pages = (rows + 63) / 64;
        var parameters = new QkvPrepare.Parameters
        {
            Qkv = timer.Take(2L * rows * All),
            Cos = timer.Take(4L * rows * Dim / 2),
            Sin = timer.Take(4L * rows * Dim / 2),
            RopeRows = timer.Send(Enumerable.Range(0, rows).ToArray()),
            Places = timer.Send(Enumerable.Range(0, rows).Select(i => new Int2(0, i)).ToArray()),
            Table = timer.Send(Enumerable.Range(0, pages).ToArray()),
            Queries = timer.Take(2L * rows * Heads * Dim),
            Keys = timer.Take(2L * rows * KvHeads * Dim),
            Values = timer.Take(2L * rows * KvHeads * Dim),
            KeyPages = timer.Take(2L * pages * 64 * KvHeads * Dim),
            ValuePages = timer.Take(2L * pages * 64 * KvHeads * Dim),
            TableStride = pages,
            QueryWeights = 1,
            KeyWeights = 1,
        };
        Bandwidth("RoPE + KV write, ragged and paged", rows, 2L * rows * (All + (Heads + 4 * KvHeads) * Dim), copy, () => QkvPrepare.Launch(Cuda, spec, CudaType.BFloat16, rows, parameters));
    }

    private void Bandwidth(string label, int rows, long bytes, double copy, Action work)
    {
        var time = timer.Time(work);
        var (a, b) = (timer.Take(bytes / 2), timer.Take(bytes / 2));
        var like = timer.Time(() => Cuda.Stream.Copy(b, a, bytes / 2));
        Console.WriteLine($"| {label} | {rows} | {time * 1000:f1} | {bytes / time / 1e6:f0} | {bytes / time / 1e6 / copy:p0} | {like / time:p0} |");
    }
}
