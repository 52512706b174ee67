using System.Diagnostics;
using System.Runtime.InteropServices;
using MergeKit.Core.Numerics;
using MergeKit.Inference.Backends.Cpu.Kernels;

namespace MergeKit.Benchmarks;

/// <summary>The CPU kernels against named yardsticks in the same run: OpenBLAS's sgemm and a plain read of memory.</summary>
internal static unsafe class EngineKernelBenchmark
{
    /// <summary>Prints the table. Arguments: any of <c>gemm decode pool attention model</c>; all when none is given; <c>threads=N</c>.</summary>
    public static int Run(string[] args)
    {
        var threads = args.Where(arg => arg.StartsWith("threads=", StringComparison.Ordinal)).Select(arg => int.Parse(arg["threads=".Length..])).FirstOrDefault(Environment.ProcessorCount);
        var parts = args.Where(arg => !arg.Contains('=')).ToHashSet();
        bool Wanted(string part) => parts.Count == 0 || parts.Contains(part);
        Console.WriteLine($"path {InstructionPaths.Best}, {threads} threads; times are the least of several, taken turn by turn with the yardstick");
        using var pool = new WorkerPool(threads);
        if (Wanted("pool"))
            Pool(pool);
        if (Wanted("gemm"))
            Gemm(pool);
        if (Wanted("decode"))
            Decode(pool);
        if (Wanted("attention"))
            Attention(pool);
        return 0;
    }

    private static void Pool(WorkerPool pool)
    {
        const int loops = 20_000;
        var sink = new long[64];
        var seconds = Fastest(7, () =>
        {
            for (var i = 0; i < loops; i++)
                pool.For(pool.Threads, (index, worker) => sink[worker * 8]++);
        });
        Console.WriteLine($"pool      empty loop of {pool.Threads} indices: {seconds / loops * 1e6:F2} us");
    }

    private static void Gemm(WorkerPool pool)
    {
        foreach (var (m, n, k) in new[] { (2048, 1536, 576), (2048, 576, 1536), (2048, 576, 576), (2048, 192, 576), (2048, 4096, 4096), (256, 1536, 576), (32, 1536, 576), (16, 1536, 576), (9, 1536, 576) })
        {
            using var x = new Block(4L * m * k);
            using var w = new Block(4L * n * k);
            using var half = new Block(2L * n * k);
            using var y = new Block(4L * m * n);
            Action own = () => MatrixProduct.Multiply(x.Floats, m, new WeightMatrix(w.Address, DType.F32, n, k, k), y.Floats, n, pool);
            Action ownHalf = () => MatrixProduct.Multiply(x.Floats, m, new WeightMatrix(half.Address, DType.BF16, n, k, k), y.Floats, n, pool);
            Action blas = () => OpenBlas.MultiplyTransposed((float*)x.Address, (float*)w.Address, (float*)y.Address, m, n, k);
            if (!OpenBlas.IsInstalled)
            {
                Console.WriteLine("libopenblas.so.0 is not installed (Debian: apt-get install libopenblas0-pthread): no yardstick");
                blas = own;
            }
            else
            {
                OpenBlas.SetThreads(pool.Threads);
            }

            var times = FastestOfEach(2L * m * n * k > 10_000_000_000 ? 5 : 40, own, ownHalf, blas);
            var work = 2.0 * m * n * k / 1e9;
            Console.WriteLine($"gemm      [{m} x {k}] x [{n} x {k}]^T: f32 {work / times[0]:F0} GF/s, bf16 {work / times[1]:F0} GF/s, OpenBLAS sgemm {work / times[2]:F0} GF/s; ratios {times[2] / times[0]:F2}, {times[2] / times[1]:F2}");
        }
    }

    private static void Decode(WorkerPool pool)
    {
        const int columns = 576, rows = 240_000;
        using var weights = new Block(2L * columns * rows);
        foreach (var tokens in new[] { 1, 2, 4, 8 })
        {
            using var x = new Block(4L * columns * tokens);
            using var y = new Block(4L * rows * tokens);
            var times = FastestOfEach(
                9,
                () => MatrixProduct.Multiply(x.Floats, tokens, new WeightMatrix(weights.Address, DType.BF16, rows, columns, columns), y.Floats, rows, pool),
                () => PlainRead(weights, pool));
            var gigabytes = 2e-9 * columns * rows;
            Console.WriteLine($"decode    {tokens} tokens, bf16 [{rows} x {columns}]: {gigabytes / times[0]:F1} GB/s, plain read {gigabytes / times[1]:F1} GB/s; ratio {times[1] / times[0]:F2}");
        }
    }

    private static void Attention(WorkerPool pool)
    {
        foreach (var (queries, keys) in new[] { (2048, 2048), (1, 2048), (1, 16384) })
        {
            const int heads = 9, kvHeads = 3, width = 64;
            using var q = new Block(4L * queries * heads * width);
            using var k = new Block(4L * keys * kvHeads * width);
            using var v = new Block(4L * keys * kvHeads * width);
            using var o = new Block(4L * queries * heads * width);
            var shape = new AttentionShape(heads, kvHeads, width, width, 0.125f, Causal: true);
            var sequence = new AttentionSequence(0, queries, k.Address, v.Address, keys, width, (long)keys * width, width, (long)keys * width);
            var inputs = new AttentionInputs(q.Address, heads * width, [sequence]);
            var seconds = Fastest(20, () => FlashAttention.Run(shape, inputs, o.Floats, pool));
            var pairs = queries * (keys - ((queries - 1) / 2.0));
            Console.WriteLine($"attention {queries} queries, {keys} keys, {heads} heads of {width}: {seconds * 1e3:F3} ms, {4e-9 * width * heads * pairs / seconds:F0} GF/s, {8e-9 * kvHeads * width * keys / seconds:F1} GB/s of cache");
        }
    }

    private static void PlainRead(Block block, WorkerPool pool)
    {
        const int piece = 1 << 16;
        var pieces = (int)(block.Bytes / piece);
        var sinks = new byte[pool.Threads * 128];
        pool.For(pieces, (index, worker) => sinks[worker * 128] ^= MemoryReader.Read((byte*)block.Address + ((long)index * piece), piece));
    }

    internal static double Fastest(int repetitions, Action action) => FastestOfEach(repetitions, action)[0];

    internal static double[] FastestOfEach(int repetitions, params Action[] actions)
    {
        var best = new double[actions.Length];
        Array.Fill(best, double.MaxValue);
        for (var repetition = 0; repetition < repetitions; repetition++)
        {
            for (var i = 0; i < actions.Length; i++)
            {
                var start = Stopwatch.GetTimestamp();
                actions[i]();
                best[i] = Math.Min(best[i], Stopwatch.GetElapsedTime(start).TotalSeconds);
            }
        }

        return best;
    }
}

/// <summary>Native memory of pseudo-random bf16-sized values.</summary>
internal sealed unsafe class Block : IDisposable
{
    public Block(long bytes)
    {
        Bytes = bytes;
        Address = (nint)NativeMemory.AlignedAlloc((nuint)bytes, 64);
        var state = 12345u;
        var pointer = (ushort*)Address;
        for (long i = 0; i < bytes / 2; i++)
        {
            state = (state * 1664525) + 1013904223;
            pointer[i] = (ushort)(0x3C00 | ((state >> 16) & 0x80FF));
        }
    }

    public long Bytes { get; }

    public nint Address { get; private set; }

    public Span<float> Floats => new((void*)Address, checked((int)(Bytes / 4)));

    public void Dispose()
    {
        NativeMemory.AlignedFree((void*)Address);
        Address = 0;
    }
}
