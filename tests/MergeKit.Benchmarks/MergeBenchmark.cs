using System.Diagnostics;
using System.Globalization;

namespace MergeKit.Benchmarks;

/// <summary>Times the program as a whole process against the disk's own speed: Y = cat of every input to /dev/null, then cp of one
/// checkpoint and fsync. Prints time / Y per method, and peak memory without mapped file pages.</summary>
internal static class MergeBenchmark
{
    private sealed record Job(string Name, string Recipe, double Limit, int Inputs);

    public static int Run(string[] args)
    {
        var program = args.FirstOrDefault(arg => arg.StartsWith("--program=", StringComparison.Ordinal))?["--program=".Length..] ?? Path.Combine(AppContext.BaseDirectory, "mergekit");
        var folder = Path.GetFullPath(args.FirstOrDefault(arg => !arg.StartsWith('-')) ?? Path.Combine(Path.GetTempPath(), "mergekit-bench"));
        var large = args.Contains("--large");
        var repeats = args.Contains("--quick") ? 1 : 5;
        var shape = large ? SyntheticLlama.TenGigabytes : SyntheticLlama.OneGigabyte;
        var models = Prepare(Path.Combine(folder, large ? "10gb" : "1gb"), shape);
        Console.WriteLine($"{Environment.ProcessorCount} cores, {Machine()}, .NET {Environment.Version}; checkpoints of {Bytes(models[0]) / 1e9:F2} GB");
        Console.WriteLine("| job | Y (s) | time (s) | time / Y | wanted | peak anonymous memory (MB) |\n|---|---|---|---|---|---|");
        var only = args.FirstOrDefault(arg => arg.StartsWith("--only=", StringComparison.Ordinal))?["--only=".Length..];
        foreach (var job in Jobs(models).Where(job => only is null || only.Split(',').Contains(job.Name)))
            Measure(job, program, models, folder, repeats);
        return 0;
    }

    private static void Measure(Job job, string program, string[] models, string folder, int repeats)
    {
        var recipe = Path.Combine(folder, job.Name + ".yml");
        File.WriteAllText(recipe, job.Recipe);
        var output = Path.Combine(folder, "out-" + job.Name);
        var runs = new List<(double Yardstick, double Time, double Memory)>();
        for (var i = 0; i <= repeats; i++)
        {
            var yardstick = Yardstick(models[..job.Inputs], folder);
            var (time, memory) = Merge(program, recipe, output);
            if (i > 0 || repeats == 1)
                runs.Add((yardstick, time, memory));
        }

        var ratios = runs.Select(run => run.Time / run.Yardstick).Order().ToList();
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"| {job.Name} | {Median(runs.Select(run => run.Yardstick)):F2} | {Median(runs.Select(run => run.Time)):F2} | {Median(ratios):F2} ({ratios[0]:F2} to {ratios[^1]:F2}) | {job.Limit} | {runs.Max(run => run.Memory):F0} |"));
    }

    private static double Median(IEnumerable<double> values) => values.Order().ElementAt(values.Count() / 2);

    private static IEnumerable<Job> Jobs(string[] m)
    {
        yield return new("linear", $"merge_method: linear\nmodels:\n{Models(m[0], m[1], m[2])}dtype: bfloat16\n", 1.6, 3);
        yield return new("slerp", $"merge_method: slerp\nbase_model: {m[0]}\nmodels:\n  - model: {m[0]}\n  - model: {m[1]}\nparameters: {{t: 0.4}}\ndtype: bfloat16\n", 1.8, 2);
        yield return new("dare_ties", $"merge_method: dare_ties\nbase_model: {m[0]}\nmodels:\n{Models(m[1], m[2])}dtype: bfloat16\n", 2.2, 3);
        yield return new("ties", $"merge_method: ties\nbase_model: {m[0]}\nmodels:\n{Models(m[1], m[2])}dtype: bfloat16\n", 3, 3);
    }

    private static string Models(params string[] models) =>
        string.Concat(models.Select(model => $"  - model: {model}\n    parameters: {{weight: 0.5{(models.Length == 2 ? ", density: 0.5" : "")}}}\n"));

    private static double Yardstick(string[] models, string folder)
    {
        var copy = Path.Combine(folder, "copy");
        var script = $"cat {string.Join(' ', models.Select(model => $"{model}/*.safetensors"))} > /dev/null; mkdir -p {copy}; cp {models[0]}/*.safetensors {copy}/; sync {copy}/*.safetensors";
        var watch = Stopwatch.StartNew();
        Execute("bash", ["-c", script]);
        var elapsed = watch.Elapsed.TotalSeconds;
        Directory.Delete(copy, recursive: true);
        return elapsed;
    }

    internal static (double Seconds, double Megabytes) Merge(string program, string recipe, string output, params string[] options)
    {
        var watch = Stopwatch.StartNew();
        using var process = Process.Start(new ProcessStartInfo(program, ["run", recipe, output, "--quiet", .. options]) { RedirectStandardError = true })!;
        _ = process.StandardError.ReadToEndAsync();
        var peak = 0.0;
        while (!process.WaitForExit(10))
            peak = Math.Max(peak, AnonymousMegabytes(process.Id));
        var elapsed = watch.Elapsed.TotalSeconds;
        if (process.ExitCode != 0)
            throw new InvalidOperationException($"mergekit ended with code {process.ExitCode}");
        Directory.Delete(output, recursive: true);
        return (elapsed, peak);
    }

    /// <summary>RssAnon of /proc/PID/status: resident memory without file pages.</summary>
    private static double AnonymousMegabytes(int process)
    {
        try
        {
            var line = File.ReadLines($"/proc/{process}/status").FirstOrDefault(text => text.StartsWith("RssAnon:", StringComparison.Ordinal));
            return line is null ? 0 : double.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) / 1000;
        }
        catch (IOException)
        {
            return 0;
        }
    }

    private static void Execute(string program, string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments))!;
        process.WaitForExit();
        if (process.ExitCode != 0)
            throw new InvalidOperationException($"{program} ended with code {process.ExitCode}");
    }

    private static string[] Prepare(string folder, SyntheticLlama shape)
    {
        var models = Enumerable.Range(0, 3).Select(i => Path.Combine(folder, i == 0 ? "base" : $"ft{i}")).ToArray();
        for (var i = 0; i < models.Length; i++)
            if (!File.Exists(Path.Combine(models[i], "config.json")))
                shape.Write(models[i], i, i == 0 ? 0 : 0.002f, sparse: shape == SyntheticLlama.TenGigabytes);
        return models;
    }

    private static long Bytes(string folder) => Directory.EnumerateFiles(folder, "*.safetensors").Sum(file => new FileInfo(file).Length);

    private static string Machine() => File.Exists("/proc/cpuinfo")
        ? File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal))?.Split(':')[1].Trim() ?? "unknown processor"
        : System.Runtime.InteropServices.RuntimeInformation.ProcessArchitecture.ToString();
}
