using System.Diagnostics;
using System.Globalization;
using MergeKit.Core.Architectures;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Models;
using MergeKit.Core.Numerics;
using MergeKit.Inference.Backends.Cuda;
using MergeKit.Inference.Runtime;

namespace MergeKit.Benchmarks;

/// <summary>Whole models of known shapes with random weights on a GPU: prompt scoring from ids to likelihoods, and decoding; transformers with SDPA beside them.</summary>
internal static class GpuModelBenchmark
{
    /// <summary>Names, whether decoding is measured, and configurations.</summary>
    public static IReadOnlyList<(string Name, bool Decode, string Config)> Shapes { get; } =
    [
        ("llama-1b", true, Llama("LlamaForCausalLM", "llama", 2048, 8192, 16, 128256, ", \"tie_word_embeddings\": true, \"head_dim\": 64, \"rope_theta\": 500000.0")),
        ("llama-8b", true, Llama("LlamaForCausalLM", "llama", 4096, 14336, 32, 128256, ", \"tie_word_embeddings\": false, \"rope_theta\": 500000.0")),
        ("qwen3-30b-a3b-12-layers", false, Llama("Qwen3MoeForCausalLM", "qwen3_moe", 2048, 6144, 12, 151936,
            ", \"tie_word_embeddings\": false, \"head_dim\": 128, \"num_experts\": 128, \"num_experts_per_tok\": 8, \"moe_intermediate_size\": 768, \"norm_topk_prob\": true, "
            + "\"decoder_sparse_step\": 1, \"mlp_only_layers\": []", kvHeads: 4)),
        ("mixtral-8-layers", false, Llama("MixtralForCausalLM", "mixtral", 4096, 14336, 8, 32000,
            ", \"tie_word_embeddings\": false, \"num_local_experts\": 8, \"num_experts_per_tok\": 2, \"sliding_window\": null")),
    ];

    /// <summary>Prints one line per shape and mode. Arguments: names of shapes (all where none), <c>documents=N</c>, <c>length=N</c>, <c>yardstick</c>,
    /// <c>decode</c> for decoding one sequence only, <c>steps=N</c>, <c>files=FOLDER</c> for loading from files only.</summary>
    public static int Run(string[] args)
    {
        var (usable, reasons) = CudaDevice.Discover();
        if (usable.Count == 0)
        {
            Console.Error.WriteLine("not run: " + string.Join("; ", reasons));
            return 3;
        }

        var (documents, length) = (Number(args, "documents=", 64), Number(args, "length=", 2048));
        using (var cuda = new CudaContext(usable[0].Index))
            Console.WriteLine($"# {cuda.Device.Name}, driver for CUDA {cuda.Device.DriverVersion / 1000}.{cuda.Device.DriverVersion % 1000 / 10}, NVRTC {cuda.Compiler.Version}, cuBLASLt {DenseProduct.Version}");
        foreach (var shape in Shapes.Where(shape => !args.Any(arg => arg.StartsWith("llama", StringComparison.Ordinal) || arg.StartsWith("qwen", StringComparison.Ordinal) || arg.StartsWith("mixtral", StringComparison.Ordinal)) || args.Contains(shape.Name)))
        {
            if (args.FirstOrDefault(arg => arg.StartsWith("files=", StringComparison.Ordinal)) is { } files)
            {
                GpuLoadBenchmark.Run(shape.Name, shape.Config, Path.Combine(files[6..], shape.Name), usable[0].Index);
                continue;
            }

            Ours(shape.Name, shape.Config, shape.Decode, !args.Contains("decode"), Number(args, "steps=", 256), usable[0].Index, documents, length);
            if (args.Contains("yardstick"))
                Yardstick(shape.Name, shape.Config, shape.Decode, documents, length);
        }

        return 0;
    }

    private static void Ours(string name, string json, bool decode, bool scoring, int steps, int device, int documents, int length)
    {
        var config = ModelConfig.Parse("config.json", json);
        using var cuda = new CudaContext(device);
        var stored = new RepeatedWeights(config);
        var clock = Stopwatch.StartNew();
        using var model = LanguageModel.FromSource(name, config, stored, network => new CudaBackend(cuda, network));
        cuda.Synchronize();
        var weights = cuda.Memory.LiveBytes;
        Say(name, $"{weights / 1e9:f2} GB of weights loaded in {clock.Elapsed.TotalSeconds:f2} s, {weights / 1e9 / clock.Elapsed.TotalSeconds:f1} GB/s");
        var random = new CounterRandom(3, "ids", 0);
        var words = new uint[documents * length];
        random.Fill(0, words);
        var ids = Array.ConvertAll(words, word => (int)(word % (uint)model.VocabularySize));
        var requests = Enumerable.Range(0, documents).Select(i => new ScoreRequest(ids.AsMemory(i * length, 1), ids.AsMemory(i * length + 1, length - 1))).ToList();
        if (!scoring)
        {
            Decode(name, model, ids, 1, 128, steps);
            return;
        }

        clock.Restart();
        var first = model.Score(requests.GetRange(0, 1))[0].Sum;
        Say(name, $"first pass {clock.Elapsed.TotalSeconds:f2} s (kernels compiled or read from the cache); -ln p {-first:f1}");
        model.Score(requests.GetRange(0, Math.Min(documents, 8)));
        var best = double.MaxValue;
        for (var i = 0; i < 3; i++)
        {
            clock.Restart();
            model.Score(requests);
            best = Math.Min(best, clock.Elapsed.TotalSeconds);
        }

        Say(name, $"scoring {documents} x {length}: {documents * length / best:f0} tok/s, peak {(cuda.Memory.PeakBytes - weights) / (double)(1 << 30):f2} GiB beyond the weights");
        if (!decode)
            return;
        foreach (var (batch, prompt) in new[] { (1, 128), (32, 128) })
            Decode(name, model, ids, batch, prompt, steps);
    }

    private static void Decode(string name, LanguageModel model, int[] ids, int batch, int prompt, int steps)
    {
        var prompts = Enumerable.Range(0, batch).Select(i => (ReadOnlyMemory<int>)ids.AsMemory(i * prompt, prompt)).ToList();
        var counts = new int[batch];
        var clock = new Stopwatch();
        for (var run = 0; run < 2; run++)
        {
            Array.Clear(counts);
            clock.Reset();
            model.Generate(prompts, (index, _) =>
            {
                if (++counts[index] == 1 && !clock.IsRunning)
                    clock.Start();
                return counts[index] <= steps;
            });
        }

        Say(name, $"decoding {batch} sequences: {batch * steps / clock.Elapsed.TotalSeconds:f1} tok/s, {clock.Elapsed.TotalMilliseconds / steps:f3} ms a step");
    }

    private static void Yardstick(string name, string json, bool decode, int documents, int length)
    {
        var file = Path.GetTempFileName();
        try
        {
            File.WriteAllText(file, json);
            var start = new ProcessStartInfo("python3")
            {
                ArgumentList = { Path.Combine(AppContext.BaseDirectory, "Yardsticks", "transformers_model.py"), file, "score", documents.ToString(CultureInfo.InvariantCulture), length.ToString(CultureInfo.InvariantCulture) },
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            };
            if (decode)
                foreach (var argument in new[] { "decode", "64" })
                    start.ArgumentList.Add(argument);
            using var process = Process.Start(start)!;
            var error = process.StandardError.ReadToEndAsync();
            var output = process.StandardOutput.ReadToEnd().Trim();
            process.WaitForExit();
            Say(name, process.ExitCode == 0 ? output : $"yardstick failed: {error.Result.Trim().Split('\n')[^1]}");
        }
        finally
        {
            File.Delete(file);
        }
    }

    private static void Say(string name, string text)
    {
        Console.WriteLine($"{name}: {text}");
        Console.Out.Flush();
    }

    private static int Number(string[] args, string key, int otherwise) =>
        args.Where(arg => arg.StartsWith(key, StringComparison.Ordinal)).Select(arg => int.Parse(arg[key.Length..], CultureInfo.InvariantCulture)).FirstOrDefault(otherwise);

    private static string Llama(string architecture, string type, int hidden, int intermediate, int layers, int vocabulary, string more, int kvHeads = 8) => $$"""
        {"architectures": ["{{architecture}}"], "model_type": "{{type}}", "hidden_size": {{hidden}}, "intermediate_size": {{intermediate}}, "num_hidden_layers": {{layers}},
         "num_attention_heads": 32, "num_key_value_heads": {{kvHeads}}, "vocab_size": {{vocabulary}}, "max_position_embeddings": 40960, "rms_norm_eps": 1e-05,
         "hidden_act": "silu", "torch_dtype": "bfloat16"{{more}}}
        """;
}
