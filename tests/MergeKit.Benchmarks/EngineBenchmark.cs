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

    /// <summary>Prints the ratios. Arguments: <c>threads=N</c>, <c>repeat=N</c>, <c>decode</c> to leave the prompt out.</summary>
    public static int Run(string[] args)
    {
        var threads = Number(args, "threads=", Environment.ProcessorCount);
        var repeat = Number(args, "repeat=", 5);
        if (!OpenBlas.IsInstalled)
        {
            Console.WriteLine("libopenblas.so.0 is not installed (Debian: apt-get install libopenblas0-pthread): no yardstick");
            return 1;
        }

        OpenBlas.SetThreads(threads);
        Console.WriteLine($"{threads} threads; each turn of ours has a turn of the yardstick beside it, ratios are medians of {repeat} turns");
        foreach (var type in new[] { DType.F32, DType.BF16 })
        {
            using var weights = new BlockWeights(ModelConfig.Parse("config.json", Config), type);
            using var model = LanguageModel.FromSource("smol", ModelConfig.Parse("config.json", Config), weights, threads);
            if (!args.Contains("decode"))
                Prompt(model, weights, type, repeat);
            Decode(model, weights, type, threads, repeat);
        }

        return 0;
    }

    private static void Prompt(LanguageModel model, BlockWeights weights, DType type, int repeat)
    {
        const int m = 2048, n = 4096, k = 4096;
        Memory(model, weights, type);
        using var x = new Block(4L * m * k);
        using var w = new Block(4L * n * k);
        using var y = new Block(4L * m * n);
        var ids = Enumerable.Range(0, Tokens).Select(i => i * 7919 % 49152).ToArray();
        var request = new ScoreRequest(ids.AsMemory(0, 1), ids.AsMemory(1));
        var turns = new Turns(
            repeat, () => model.Score([request]), () => OpenBlas.MultiplyTransposed((float*)x.Address, (float*)w.Address, (float*)y.Address, m, n, k));
        var (work, sgemm) = (2e-9 * weights.Parameters * Tokens, 2e-9 * m * n * k);
        Console.WriteLine($"prompt {type}: {Tokens / turns.Fastest(0):F0} tokens/s, {work / turns.Fastest(0):F0} GF/s (2 x parameters x tokens); "
            + $"sgemm {m} x {n} x {k} {sgemm / turns.Fastest(1):F0} GF/s; ratio {turns.Ratio(0, 1) * work / sgemm:F2} (0.60 is wanted)");
    }

    /// <summary>What a prompt leaves in memory beyond the weights: activations, scratch and the runtime itself; keys and values are freed by then.</summary>
    private static void Memory(LanguageModel model, BlockWeights weights, DType type)
    {
        model.Score([new ScoreRequest(new[] { 1 }, new int[Tokens - 1])]);
        using var process = Process.GetCurrentProcess();
        Console.WriteLine($"memory {type}: {(process.WorkingSet64 - weights.Bytes) / 1e6:F0} MB beyond the weights ({weights.Bytes / 1e6:F0} MB) after a prompt (200 MB is allowed)");
    }

    private static void Decode(LanguageModel model, BlockWeights weights, DType type, int threads, int repeat)
    {
        using var session = model.Open();
        var logits = new float[model.VocabularySize];
        session.Append([1, 2, 3, 4]);
        using var pool = new WorkerPool(threads);
        var turns = new Turns(DecodeTokens * repeat / 5, () => Step(session, logits), () => weights.ReadAll(pool));
        Console.WriteLine($"decode {type}: {turns.Fastest(0) * 1e3:F2} ms a token, {weights.Bytes / turns.Fastest(0) / 1e9:F1} GB/s; "
            + $"plain read {weights.Bytes / turns.Fastest(1) / 1e9:F1} GB/s; ratio {turns.Ratio(0, 1):F2} (0.80 is wanted for BF16)");
    }

    private static void Step(ISession session, float[] logits)
    {
        session.Append([7]);
        session.NextLogits(logits);
    }

    private static int Number(string[] args, string key, int otherwise) =>
        args.Where(arg => arg.StartsWith(key, StringComparison.Ordinal)).Select(arg => int.Parse(arg[key.Length..])).FirstOrDefault(otherwise);
}
