using MergeKit.Core.Numerics;
using MergeKit.Inference.Backends.Cpu.Kernels;

namespace MergeKit.Benchmarks;

/// <summary>The CPU kernels against named yardsticks in the same run: OpenBLAS's sgemm and a plain read of memory.</summary>
internal static unsafe class EngineKernelBenchmark
{
    /// <summary>Prints the table. Arguments: any of <c>pool gemm decode attention model</c>; all when none is given; <c>threads=N</c>.</summary>
    public static int Run(string[] args)
    {
        const string threadsKey = "threads=";
        var threads = Environment.ProcessorCount;
        if (args.FirstOrDefault(arg => arg.StartsWith(threadsKey, StringComparison.Ordinal)) is { } given)
            threads = int.Parse(given[threadsKey.Length..]);
        Console.WriteLine($"path {InstructionPaths.Best}, {threads} threads; rates: the fastest turn; ratios: the median of the turns, each with its yardstick");
        var parts = args.Where(arg => !arg.Contains('=')).ToHashSet();
        using var pool = new WorkerPool(threads);
        foreach (var (name, part) in new (string, Action<WorkerPool>)[]
            { ("pool", Pool), ("gemm", Gemm), ("decode", Decode), ("attention", Attention), ("model", Model) })
        {
            if (parts.Count == 0 || parts.Contains(name))
                part(pool);
        }

        return 0;
    }

    private static void Pool(WorkerPool pool)
    {
        const int loops = 5_000;
        var sink = new double[(pool.Threads + 1) * 32];
        void Work(int index, int worker)
        {
            double sum = index;
            for (var i = 0; i < 12_000; i++)
                sum += i;
            sink[(worker + 1) * 32] = sum;
        }

        var turns = new Turns(
            9,
            () =>
            {
                for (var i = 0; i < loops; i++)
                    pool.For(pool.Threads, Work);
            },
            () =>
            {
                for (var i = 0; i < loops; i++)
                    Work(0, 0);
            });
        var body = turns.Fastest(1) / loops * 1e6;
        Console.WriteLine($"pool      {pool.Threads} bodies of {body:F2} us on {pool.Threads} threads: {turns.Fastest(0) / loops * 1e6:F2} us a loop");
    }

    private static void Gemm(WorkerPool pool)
    {
        (int M, int N, int K)[] shapes =
        [
            (2048, 1536, 576), (2048, 576, 1536), (2048, 576, 576), (2048, 192, 576), (2048, 4096, 4096),
            (256, 1536, 576), (32, 1536, 576), (16, 1536, 576), (9, 1536, 576),
        ];
        foreach (var (m, n, k) in shapes)
        {
            using var x = new Block(4L * m * k);
            using var w = new Block(4L * n * k);
            using var y = new Block(4L * m * n);
            var (full, half) = (new WeightMatrix(w.Address, DType.F32, n, k, k), new WeightMatrix(w.Address, DType.BF16, n, k, k));
            var turns = new Turns(
                2L * m * n * k > 10_000_000_000 ? 7 : 41,
                () => MatrixProduct.Multiply(x.Floats, m, full, y.Floats, n, pool),
                () => MatrixProduct.Multiply(x.Floats, m, half, y.Floats, n, pool),
                Yardstick(x, w, y, m, n, k, pool));
            string Rate(int action) => $"{2e-9 * m * n * k / turns.Fastest(action):F0} GF/s";
            Console.WriteLine(
                $"gemm      [{m} x {k}] x [{n} x {k}]^T: f32 {Rate(0)}, bf16 {Rate(1)}, OpenBLAS sgemm {Rate(2)}; "
                + $"ratios {turns.Ratio(0, 2):F2}, {turns.Ratio(1, 2):F2}");
        }
    }

    private static void Decode(WorkerPool pool)
    {
        const int columns = 576, rows = 240_000;
        using var weights = new Block(2L * columns * rows);
        var matrix = new WeightMatrix(weights.Address, DType.BF16, rows, columns, columns);
        foreach (var tokens in new[] { 1, 2, 4, 8 })
        {
            using var x = new Block(4L * columns * tokens);
            using var y = new Block(4L * rows * tokens);
            var turns = new Turns(15, () => MatrixProduct.Multiply(x.Floats, tokens, matrix, y.Floats, rows, pool), () => PlainRead(weights, pool));
            string Rate(int action) => $"{weights.Bytes / turns.Fastest(action) / 1e9:F1} GB/s";
            Console.WriteLine($"decode    {tokens} tokens, bf16 [{rows} x {columns}]: {Rate(0)}, plain read {Rate(1)}; ratio {turns.Ratio(0, 1):F2}");
        }
    }

    private static void Attention(WorkerPool pool)
    {
        foreach (var (queries, keys) in new[] { (2048, 2048), (1, 64), (1, 256), (1, 2048), (1, 16384) })
        {
            const int heads = 9, kvHeads = 3, width = 64;
            using var q = new Block(4L * queries * heads * width);
            using var cache = new Block(8L * keys * kvHeads * width);
            using var o = new Block(4L * queries * heads * width);
            var shape = new AttentionShape(heads, kvHeads, width, width, 0.125f, Causal: true);
            var half = (nint)(cache.Bytes / 2);
            var sequence = new AttentionSequence(0, queries, cache.Address, cache.Address + half, keys, width, (long)keys * width, width, (long)keys * width);
            var inputs = new AttentionInputs(q.Address, heads * width, [sequence]);
            var seconds = new Turns(21, () => FlashAttention.Run(shape, inputs, o.Floats, pool)).Fastest(0);
            var pairs = queries * (keys - ((queries - 1) / 2.0));
            Console.WriteLine(
                $"attention {queries} queries, {keys} keys, {heads} heads of {width}: {seconds * 1e3:F3} ms, "
                + $"{4e-9 * width * heads * pairs / seconds:F0} GF/s, {cache.Bytes / seconds / 1e9:F1} GB/s of cache");
        }
    }

    private static void Model(WorkerPool pool)
    {
        const int tokens = 2048, square = 4096;
        using var a = new Block(4L * square * square);
        using var b = new Block(4L * square * square);
        using var c = new Block(4L * square * square);
        foreach (var type in new[] { DType.F32, DType.BF16 })
        {
            using var prompt = new ModelRun(type, tokens, tokens, pool);
            var turns = new Turns(5, prompt.Score, Yardstick(a, b, c, square, square, square, pool));
            var work = 2e-9 * ModelRun.Parameters * tokens;
            var yardstickWork = 2e-9 * square * square * square;
            Console.WriteLine(
                $"model     {type}: {ModelRun.Parameters / 1e6:F1}M parameters, {tokens} tokens scored in {turns.Fastest(0):F3} s, "
                + $"{work / turns.Fastest(0):F0} GF/s; OpenBLAS sgemm {square}^3 {yardstickWork / turns.Fastest(1):F0} GF/s; "
                + $"ratio {turns.Ratio(0, 1) * work / yardstickWork:F2}");
            foreach (var context in new[] { 1, 2048 })
            {
                using var decode = new ModelRun(type, 1, context, pool);
                var steps = new Turns(21, decode.Step, () => PlainRead(decode.Weights, pool));
                var (read, all) = ((double)decode.Weights.Bytes, (double)decode.Weights.Bytes + decode.CacheBytes);
                Console.WriteLine(
                    $"model     {type}: decode after {context - 1} tokens {1 / steps.Fastest(0):F0} tokens/s, "
                    + $"{all / steps.Fastest(0) / 1e9:F1} GB/s of weights and cache; plain read {read / steps.Fastest(1) / 1e9:F1} GB/s; "
                    + $"ratio {steps.Ratio(0, 1) * all / read:F2}");
            }
        }
    }

    private static Action Yardstick(Block x, Block w, Block y, int m, int n, int k, WorkerPool pool)
    {
        if (OpenBlas.IsInstalled)
        {
            OpenBlas.SetThreads(pool.Threads);
            return () => OpenBlas.MultiplyTransposed((float*)x.Address, (float*)w.Address, (float*)y.Address, m, n, k);
        }

        Console.WriteLine("libopenblas.so.0 is not installed (Debian: apt-get install libopenblas0-pthread); this line's yardstick is our own product:");
        var weights = new WeightMatrix(w.Address, DType.F32, n, k, k);
        return () => MatrixProduct.Multiply(x.Floats, m, weights, y.Floats, n, pool);
    }

    private static void PlainRead(Block block, WorkerPool pool)
    {
        const int piece = 1 << 16;
        var sinks = new byte[pool.Threads * 128];
        pool.For((int)(block.Bytes / piece), (index, worker) => sinks[worker * 128] ^= MemoryReader.Read((byte*)block.Address + ((long)index * piece), piece));
    }
}
