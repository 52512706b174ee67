using System.Diagnostics;
using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Models;
using MergeKit.Core.Numerics;
using MergeKit.Inference.Backends.Cpu.Kernels;
using MergeKit.Inference.Runtime;

namespace MergeKit.Benchmarks;

/// <summary>A whole model of SmolLM-135M's shape with random weights: prompt scoring against OpenBLAS's sgemm, decoding against a plain read.</summary>
internal static unsafe class EngineBenchmark
{
    private const int Tokens = 2048, DecodeTokens = 48;

    private const string Config = """
        {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
         "num_attention_heads": 9, "num_key_value_heads": 3, "vocab_size": 49152, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5,
         "rope_theta": 10000.0, "hidden_act": "silu", "tie_word_embeddings": true}
        """;

    /// <summary>Prints the ratios. Arguments: <c>threads=N</c>, <c>repeat=N</c>.</summary>
    public static int Run(string[] args)
    {
        var threads = Number(args, "threads=", Environment.ProcessorCount);
        var repeat = Number(args, "repeat=", 3);
        var sgemm = OpenBlas.IsInstalled ? Sgemm(threads) : double.NaN;
        Console.WriteLine($"OpenBLAS sgemm 2048 x 4096 x 4096, {threads} threads: {sgemm:F0} GF/s");
        foreach (var type in new[] { DType.F32, DType.BF16 })
        {
            using var weights = new BlockWeights(ModelConfig.Parse("config.json", Config), type);
            using var model = LanguageModel.FromSource("smol", ModelConfig.Parse("config.json", Config), weights, threads);
            Prompt(model, weights, type, repeat, sgemm);
            Decode(model, weights, type, threads);
        }

        return 0;
    }

    private static void Prompt(LanguageModel model, BlockWeights weights, DType type, int repeat, double sgemm)
    {
        var ids = Enumerable.Range(0, Tokens).Select(i => i * 7919 % 49152).ToArray();
        var request = new ScoreRequest(ids.AsMemory(0, 1), ids.AsMemory(1));
        model.Score([request with { Continuation = ids.AsMemory(1, 64) }]);
        var seconds = EngineKernelBenchmark.Fastest(repeat, () => model.Score([request]));
        var rate = 2e-9 * weights.Parameters * Tokens / seconds;
        Console.WriteLine($"prompt {type}: {Tokens} tokens in {seconds:F2} s, {Tokens / seconds:F0} tokens/s, {rate:F0} GF/s; ratio to sgemm {rate / sgemm:F2} (wanted 0.60)");
    }

    private static void Decode(LanguageModel model, BlockWeights weights, DType type, int threads)
    {
        using var session = model.Open();
        var logits = new float[model.VocabularySize];
        session.Append([1, 2, 3, 4]);
        var best = double.MaxValue;
        for (var i = 0; i < DecodeTokens; i++)
        {
            var start = Stopwatch.GetTimestamp();
            session.Append([i]);
            session.NextLogits(logits);
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds);
        }

        using var pool = new WorkerPool(threads);
        var read = EngineKernelBenchmark.Fastest(5, () => weights.ReadAll(pool));
        Console.WriteLine($"decode {type}: {best * 1e3:F2} ms a token, {weights.Bytes / best / 1e9:F1} GB/s; plain read {weights.Bytes / read / 1e9:F1} GB/s; ratio {read / best:F2} (wanted 0.80 for BF16)");
    }

    private static double Sgemm(int threads)
    {
        const int m = 2048, n = 4096, k = 4096;
        using var x = new Block(4L * m * k);
        using var w = new Block(4L * n * k);
        using var y = new Block(4L * m * n);
        OpenBlas.SetThreads(threads);
        return 2e-9 * m * n * k / EngineKernelBenchmark.Fastest(3, () => OpenBlas.MultiplyTransposed((float*)x.Address, (float*)w.Address, (float*)y.Address, m, n, k));
    }

    private static int Number(string[] args, string key, int otherwise) =>
        args.Where(arg => arg.StartsWith(key, StringComparison.Ordinal)).Select(arg => int.Parse(arg[key.Length..])).FirstOrDefault(otherwise);

    /// <summary>Random tensors for every weight of a configuration.</summary>
    private sealed class BlockWeights : IWeightSource
    {
        private const int Piece = 1 << 16;
        private readonly Dictionary<string, (Block Block, WeightTensor Tensor)> _tensors = [];

        public BlockWeights(ModelConfig config, DType type)
        {
            foreach (var weight in ArchitectureCatalog.Get(config).Weights(config).Where(weight => !weight.Optional))
            {
                var elements = weight.Shape!.Aggregate(1L, (a, b) => a * b);
                var block = new Block(elements * type.Size());
                _tensors[weight.Name] = (block, new WeightTensor(block.Address, type, weight.Shape!));
                (Parameters, Bytes) = (Parameters + elements, Bytes + block.Bytes);
            }
        }

        public long Parameters { get; }

        public long Bytes { get; }

        public string Name => "random";

        public IEnumerable<string> Names => _tensors.Keys;

        public bool TryGet(string name, out WeightTensor tensor)
        {
            var found = _tensors.TryGetValue(name, out var entry);
            tensor = entry.Tensor;
            return found;
        }

        /// <summary>Reads every weight once.</summary>
        public void ReadAll(WorkerPool pool)
        {
            var pieces = _tensors.Values.SelectMany(entry => Enumerable.Range(0, (int)(entry.Block.Bytes / Piece)).Select(i => entry.Block.Address + (nint)i * Piece)).ToArray();
            var sinks = new byte[pool.Threads * 128];
            pool.For(pieces.Length, (index, worker) => sinks[worker * 128] ^= MemoryReader.Read((byte*)pieces[index], Piece));
        }

        public void Dispose()
        {
            foreach (var (block, _) in _tensors.Values)
                block.Dispose();
            _tensors.Clear();
        }
    }
}
