using System.Diagnostics;
using System.Globalization;
using MergeKit.Core.Checkpoints;
using MergeKit.Core.Merging.Planning;
using MergeKit.Core.Models;
using MergeKit.Core.Moe;
using MergeKit.Core.Moe.Routers;
using MergeKit.Core.Numerics;
using MergeKit.Core.Recipes;
using MergeKit.Core.Tokenization;
using MergeKit.Inference.Moe;
using MergeKit.Inference.Runtime;

namespace MergeKit.Benchmarks;

/// <summary>Mixtures of experts: building one against a copy of its bytes, fitting its routers against scoring the same tokens, and scoring
/// with it against a dense model of the same active parameters.</summary>
internal static class MoeBenchmark
{
    private const int Documents = 200, Window = 512, ScoredTokens = 2048;

    /// <summary>Arguments: <c>build</c>, <c>gates</c>, <c>score</c> (all without one), <c>folder=DIR</c>, <c>program=FILE</c>, <c>repeat=N</c>, <c>threads=N</c>.</summary>
    public static int Run(string[] args)
    {
        var folder = Path.GetFullPath(Value(args, "folder=") ?? Path.Combine(Path.GetTempPath(), "mergekit-bench"));
        var threads = int.Parse(Value(args, "threads=") ?? Environment.ProcessorCount.ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);
        var repeat = int.Parse(Value(args, "repeat=") ?? "3", CultureInfo.InvariantCulture);
        var all = !args.Any(arg => arg is "build" or "gates" or "score" or "prepare");
        Console.WriteLine($"{threads} threads, .NET {Environment.Version}; ratios are medians of {repeat} turns, each turn with its yardstick beside it");
        if (args.Contains("prepare"))
            Models(folder);
        if (all || args.Contains("score"))
            Score(threads, repeat);
        if (all || args.Contains("gates"))
            Gates(folder, threads, repeat);
        if (all || args.Contains("build"))
            Build(folder, Value(args, "program=") ?? Path.Combine(AppContext.BaseDirectory, "mergekit"), repeat);
        return 0;
    }

    private static string? Value(string[] args, string key) => args.FirstOrDefault(arg => arg.StartsWith(key, StringComparison.Ordinal))?[key.Length..];

    /// <summary>Four dense models of 1 GB into one mixture, against cp of the result's files and fsync.</summary>
    private static void Build(string folder, string program, int repeat)
    {
        var models = Models(folder);
        var (recipe, output, copy) = (Path.Combine(folder, "moe.yml"), Path.Combine(folder, "out-moe"), Path.Combine(folder, "copy-moe"));
        File.WriteAllText(recipe, $"base_model: {models[0]}\ngate_mode: random\nexperts:\n{string.Concat(models.Select(model => $"  - source_model: {model}\n"))}");
        Discard(output);
        Execute(program, "run", recipe, output, "--quiet", "--no-check");
        var turns = new List<(double Ours, double Copy)>();
        for (var i = 0; i < repeat; i++)
        {
            Discard(copy);
            var yard = Time(() => Execute("bash", "-c", $"mkdir -p {copy}; cp {output}/*.safetensors {copy}/; sync {copy}/*.safetensors"));
            Discard(copy);
            Discard(output);
            turns.Add((Time(() => Execute(program, "run", recipe, output, "--quiet", "--no-check")), yard));
        }

        var bytes = Directory.EnumerateFiles(output, "*.safetensors").Sum(file => new FileInfo(file).Length);
        Discard(output);
        var ratios = turns.Select(turn => turn.Ours / turn.Copy).Order().ToList();
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"build: {bytes / 1e9:F2} GB of four dense models; median {Median(turns.Select(turn => turn.Ours)):F2} s, cp + fsync {Median(turns.Select(turn => turn.Copy)):F2} s; ratio {Median(ratios):F2} ({ratios[0]:F2} to {ratios[^1]:F2}; at most 1.3 is wanted)"));
    }

    private static string[] Models(string folder)
    {
        var models = Enumerable.Range(0, 4).Select(i => Path.Combine(folder, "1gb", i == 0 ? "base" : $"ft{i}")).ToArray();
        foreach (var (i, model) in models.Index().Where(pair => !File.Exists(Path.Combine(pair.Item, "config.json"))))
            SyntheticLlama.OneGigabyte.Write(model, i, i == 0 ? 0 : 0.002f);
        return models;
    }

    /// <summary>Calibrated routers of four experts over 200 documents of 512 tokens, against scoring the same tokens. The models have random
    /// weights; the tokenizer and the digits that documents are made of come from the fixtures.</summary>
    private static void Gates(string folder, int threads, int repeat)
    {
        var fixtures = Fixtures();
        var shape = new SyntheticLlama(256, 704, 8, 4, 2, 2048);
        var models = Enumerable.Range(0, 4).Select(i => Path.Combine(folder, "small", $"m{i}")).ToArray();
        var tokenizer = Path.Combine(fixtures, "models", "nano", "base");
        foreach (var (i, model) in models.Index())
        {
            shape.Write(model, i, i == 0 ? 0 : 0.01f, shards: 1);
            foreach (var file in (string[])["tokenizer.json", "tokenizer_config.json"])
                File.Copy(Path.Combine(tokenizer, file), Path.Combine(model, file), overwrite: true);
        }

        var text = File.ReadAllText(Path.Combine(fixtures, "eval", "arithmetic", "val.txt"));
        var ids = Tokenizer.Load(tokenizer).Encode(string.Concat(Enumerable.Repeat(text, 8)), addSpecialTokens: false);
        var windows = Enumerable.Range(0, Documents).Select(i => Enumerable.Range(0, Window - 1).Select(t => ids[(i * 499 + t) % ids.Length]).Prepend(0).ToArray()).ToArray();
        var decoder = Tokenizer.Load(tokenizer);
        for (var e = 0; e < 4; e++)
            File.WriteAllLines(Path.Combine(folder, "small", $"d{e}.jsonl"), windows.Where((_, i) => i % 4 == e)
                .Select(window => System.Text.Json.JsonSerializer.Serialize(new { text = decoder.Decode(window.AsSpan(1)) })));
        var yaml = $"base_model: {models[0]}\ngate_mode: calibrated\nexperts:\n{string.Concat(models.Select((model, e) => $"  - source_model: {model}\n    data: {folder}/small/d{e}.jsonl\n"))}";
        using var plan = RecipePlanner.Plan(RecipeReader.Parse("moe.yml", yaml)[0], new PlanOptions { Threads = threads });
        if (!plan.IsExecutable)
            throw new InvalidOperationException(string.Join("; ", plan.Problems));
        using var scorer = LanguageModel.Open(models[0], threads);
        ScoreRequest[] requests = [.. windows.Select(window => new ScoreRequest(window.AsMemory(0, 1), window.AsMemory(1)))];
        var turns = new Turns(repeat, () => new GateFitter(GateFitter.MixtureOf(plan)!, plan.Options, new RouterProbes(threads)).Fill(CancellationToken.None), () => scorer.Score(requests));
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"gates: {Documents} documents of {Window} tokens, hidden 256, 8 layers: fastest {turns.Fastest(0):F2} s, scoring {turns.Fastest(1):F2} s; ratio {turns.Ratio(1, 0):F2} (at most 1.5 is wanted)"));
    }

    /// <summary>8 experts of which 2 are active, against a dense block as wide as both.</summary>
    private static void Score(int threads, int repeat)
    {
        const string shape = "\"hidden_size\": 576, \"num_hidden_layers\": 10, \"num_attention_heads\": 9, \"num_key_value_heads\": 3, \"vocab_size\": 8192, \"max_position_embeddings\": 4096, \"tie_word_embeddings\": true";
        var dense = ModelConfig.Parse("config.json", $$"""{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "intermediate_size": 1536, {{shape}}}""");
        var mixture = ModelConfig.Parse("config.json", $$"""{"architectures": ["MixtralForCausalLM"], "model_type": "mixtral", "intermediate_size": 768, "num_local_experts": 8, "num_experts_per_tok": 2, {{shape}}}""");
        int[] ids = [.. Enumerable.Range(0, ScoredTokens).Select(i => i * 7919 % 8192)];
        ScoreRequest[] request = [new(ids.AsMemory(0, 1), ids.AsMemory(1))];
        foreach (var type in new[] { DType.F32, DType.BF16 })
        {
            using var a = LanguageModel.FromSource("dense", dense, new BlockWeights(dense, type), threads);
            using var b = LanguageModel.FromSource("mixture", mixture, new BlockWeights(mixture, type), threads);
            var turns = new Turns(2 * repeat, () => b.Score(request), () => a.Score(request));
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"scoring {type}: {ScoredTokens} tokens, 2 of 8 experts: fastest {turns.Fastest(0) * 1e3:F0} ms, dense {turns.Fastest(1) * 1e3:F0} ms; ratio {turns.Ratio(1, 0):F2} (at most 1.2 is wanted)"));
        }
    }

    private static string Fixtures()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            if (Directory.Exists(Path.Combine(folder.FullName, "tests", "fixtures")))
                return Path.Combine(folder.FullName, "tests", "fixtures");
        throw new DirectoryNotFoundException("no tests/fixtures above the program");
    }

    private static double Median(IEnumerable<double> values) => values.Order().ElementAt(values.Count() / 2);

    private static double Time(Action action)
    {
        var start = Stopwatch.GetTimestamp();
        action();
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static void Discard(string folder)
    {
        if (Directory.Exists(folder))
            Directory.Delete(folder, recursive: true);
    }

    private static void Execute(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments))!;
        process.WaitForExit();
        if (process.ExitCode != 0)
            throw new InvalidOperationException($"{program} ended with code {process.ExitCode}");
    }
}
